/** The run form's fields: parameters by their type, environment, time limit. */

import { useId, type ReactElement } from 'react';

import type { Parameter, Server } from '../api';
import { moment, plural, shortDigest } from '../views/format';
import { Field } from '../views/form';
import { differs, read, shown, type Unit } from './values';

interface ParameterFieldProps {
  parameter: Parameter;
  text: string;
  error: string | null;
  /** Whether the text is of the last run. */
  last: boolean;
  onChange: (text: string) => void;
}

export function ParameterField(props: ParameterFieldProps): ReactElement {
  const { parameter } = props;
  const id = useId();
  return (
    <div className="atoll-Field" data-testid={`atoll-parameter-${parameter.name}`}>
      {parameter.type === 'bool' ? (
        <label className="atoll-Check">
          <input
            type="checkbox"
            name={`parameter.${parameter.name}`}
            aria-describedby={`${id}hint`}
            checked={props.text === 'true'}
            onChange={event => props.onChange(String(event.target.checked))}
          />
          <span className="atoll-Field-label">{parameter.name}</span>
        </label>
      ) : (
        <>
          <label className="atoll-Field-label" htmlFor={id}>
            {parameter.name} <span className="atoll-Field-type">{typeName(parameter)}</span>
          </label>
          <Input {...props} id={id} />
        </>
      )}
      {props.error !== null && (
        <span className="atoll-Field-error" id={`${id}error`}>
          {props.error}
        </span>
      )}
      <span className="atoll-Field-hint" id={`${id}hint`}>
        <Hint {...props} />
      </span>
    </div>
  );
}

function Input(props: ParameterFieldProps & { id: string }): ReactElement {
  const { id, parameter, text, error } = props;
  const shared = {
    id,
    // The form's own fields have names too.
    name: `parameter.${parameter.name}`,
    value: text,
    className: `jp-mod-styled${error === null ? '' : ' jp-mod-error'}`,
    'aria-invalid': error !== null,
    'aria-describedby': error === null ? `${id}hint` : `${id}error ${id}hint`,
    spellCheck: false,
    onChange: (event: { target: { value: string } }) => props.onChange(event.target.value)
  };
  if (parameter.type === 'list' || parameter.type === 'dict' || text.includes('\n')) {
    return <textarea {...shared} rows={Math.min(6, text.split('\n').length + 1)} />;
  }
  const numeric = { int: 'numeric', float: 'decimal' } as const;
  const mode = parameter.type in numeric ? numeric[parameter.type as keyof typeof numeric] : 'text';
  return (
    <input
      {...shared}
      type="text"
      inputMode={mode}
      placeholder={parameter.type === 'str' ? '' : parameter.source}
    />
  );
}

/** What the notebook says of it, and the way back to its own value. */
function Hint(props: ParameterFieldProps): ReactElement {
  const { parameter, text, last } = props;
  const reading = read(parameter, text);
  const other = reading !== null && ('error' in reading || differs(parameter, reading.value));
  const help = parameter.help === '' ? null : <span>{parameter.help} </span>;
  if (other) {
    return (
      <>
        {help}
        <button
          type="button"
          className="atoll-Link"
          onClick={() => props.onChange(shown(parameter.type, parameter.default))}
        >
          Back to {parameter.source === '' ? 'the default' : clipped(parameter.source)}
        </button>
        {last && ' (this is the value of your last run)'}
      </>
    );
  }
  const empty =
    parameter.type === 'other'
      ? 'Left empty, the notebook works it out itself.'
      : reading === null && `Left empty, it is ${clipped(parameter.source)}, the notebook’s own.`;
  return (
    <>
      {help}
      {empty !== false && <span className="atoll-Field-empty">{empty}</span>}
    </>
  );
}

const LONGEST_SOURCE = 40;

function clipped(source: string): string {
  return source.length > LONGEST_SOURCE ? `${source.slice(0, LONGEST_SOURCE)}…` : source;
}

function typeName({ type }: Parameter): string {
  const names: Record<string, string> = {
    int: 'whole number',
    float: 'number',
    str: 'text',
    list: 'list',
    dict: 'object'
  };
  return names[type] ?? '';
}

export function EnvironmentField(props: {
  value: string;
  server: Server | null;
  digest: string | null;
  onChange: (value: string) => void;
}): ReactElement {
  const { value, server, digest } = props;
  return (
    <Field label="Environment" hint={<EnvironmentHint value={value} server={server} />}>
      <select
        className="jp-mod-styled"
        name="environment"
        value={value}
        onChange={event => props.onChange(event.target.value)}
      >
        {digest !== null && (
          <option value={digest}>The one of that run ({shortDigest(digest)})</option>
        )}
        <option value="server">This server’s, saved on the spot</option>
        <option value="last">The last saved one</option>
        <option value="base">The base, without anything installed</option>
      </select>
    </Field>
  );
}

function EnvironmentHint(props: { value: string; server: Server | null }): ReactElement {
  const { value, server } = props;
  if (server === null) {
    return <>Jobs run in an environment that is saved, so that they can be repeated.</>;
  }
  const changes =
    server.unsaved === null
      ? 0
      : server.unsaved.packages.length + server.unsaved.directories.length;
  const saved = server.saved_at === null ? null : moment(new Date(server.saved_at), new Date());
  switch (value) {
    case 'server':
      return changes === 0 ? (
        <>Nothing is unsaved: the job can start at once.</>
      ) : (
        <>{plural(changes, 'change')} will be saved first.</>
      );
    case 'last':
      return saved === null ? (
        <>Nothing was saved yet, so this is the base.</>
      ) : (
        <>
          Saved {saved}.{changes > 0 && ` ${plural(changes, 'later change')} will be missing.`}
        </>
      );
    case 'base':
      return <>{server.base_name}</>;
    default:
      return <>Exactly what that job ran in.</>;
  }
}

export function LimitField(props: {
  value: string;
  unit: Unit;
  error: string | null;
  onChange: (value: string) => void;
  onUnit: (unit: Unit) => void;
}): ReactElement {
  const id = useId();
  return (
    <div className="atoll-Field">
      <label className="atoll-Field-label" htmlFor={id}>
        Time limit
      </label>
      <div className="atoll-Field-pair">
        <input
          id={id}
          className={`jp-mod-styled${props.error === null ? '' : ' jp-mod-error'}`}
          name="time-limit"
          inputMode="decimal"
          placeholder="the platform’s own"
          aria-invalid={props.error !== null}
          aria-describedby={`${id}hint`}
          value={props.value}
          onChange={event => props.onChange(event.target.value)}
        />
        <select
          className="jp-mod-styled"
          aria-label="Unit of the time limit"
          value={props.unit}
          onChange={event => props.onUnit(event.target.value as Unit)}
        >
          <option value="min">minutes</option>
          <option value="h">hours</option>
        </select>
      </div>
      {props.error !== null && <span className="atoll-Field-error">{props.error}</span>}
      <span className="atoll-Field-hint" id={`${id}hint`}>
        A job that takes longer is ended; its output so far is kept.
      </span>
    </div>
  );
}

/** How often it is run again where it fails. */
export function RetriesField(props: {
  value: number;
  onChange: (value: number) => void;
}): ReactElement {
  const id = useId();
  return (
    <div className="atoll-Field">
      <label className="atoll-Field-label" htmlFor={id}>
        If it fails
      </label>
      <select
        id={id}
        className="jp-mod-styled"
        name="retries"
        aria-describedby={`${id}hint`}
        value={props.value}
        onChange={event => props.onChange(Number(event.target.value))}
      >
        <option value={0}>leave it so</option>
        <option value={1}>run it again once</option>
        <option value={2}>run it again, twice at most</option>
        <option value={3}>run it again, three times at most</option>
      </select>
      <span className="atoll-Field-hint" id={`${id}hint`}>
        Each time as a job of its own, from the first cell; not after its time limit.
      </span>
    </div>
  );
}

export function FilesField(props: {
  value: string;
  /** How many an earlier run was given; null where there is none to take them from. */
  given: number | null;
  again: boolean;
  onChange: (value: string) => void;
  onAgain: (again: boolean) => void;
}): ReactElement {
  const { given } = props;
  return (
    <>
      {given !== null && (
        <label className="atoll-Check">
          <input
            type="checkbox"
            name="files-again"
            checked={props.again}
            onChange={event => props.onAgain(event.target.checked)}
          />
          <span className="atoll-Field-label">With the {plural(given, 'file')} of that run</span>
        </label>
      )}
      {!props.again && (
        <Field
          label="Files"
          hint={
            <>
              One a line, from the notebook’s folder, such as <code>data/x.csv</code> or{' '}
              <code>helpers/</code>. The job starts among copies of just these.
            </>
          }
        >
          <textarea
            className="jp-mod-styled"
            name="files"
            rows={Math.min(6, props.value.split('\n').length)}
            spellCheck={false}
            value={props.value}
            onChange={event => props.onChange(event.target.value)}
          />
        </Field>
      )}
    </>
  );
}
