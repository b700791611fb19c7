/** The run form: one dialog made from a notebook's parameters cell. */

import { Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { useEffect, useRef, useState, type FormEvent, type ReactElement } from 'react';

import {
  asProblem,
  type Inspection,
  type Job,
  type JobRequest,
  type Problem,
  type Server
} from '../api';
import { FormButtons } from '../views/form';
import { plural } from '../views/format';
import { useAction } from '../views/hooks';
import { CopyButton, ProblemView, TextButton } from '../views/parts';
import { cli, NO_COMMAND, sdk, type Asked } from './code';
import { EnvironmentField, FilesField, LimitField, ParameterField, RetriesField } from './fields';
import type { JobsModel } from './model';
import { useResources } from './resourcefields';
import type { Source } from './source';
import {
  choice,
  firstTexts,
  readLimit,
  readPaths,
  shown,
  type Texts,
  type Unit,
  type Values
} from './values';

interface RunFormProps {
  model: JobsModel;
  source: Source;
  close: () => void;
  /** The job was accepted. */
  submitted: (job: Job) => void;
}

/** Looks at the notebook, then shows the form. */
export function RunForm(props: RunFormProps): ReactElement {
  const { model, source, close } = props;
  const [inspection, setInspection] = useState<Inspection | null>(null);
  const [server, setServer] = useState<Server | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let wanted = true;
    model
      .inspect(source.name, PathExt.dirname(source.path), source.notebook)
      .then(answer => wanted && setInspection(answer))
      .catch((error: unknown) => wanted && setProblem(asProblem(error)));
    model
      .server()
      .then(answer => wanted && setServer(answer))
      .catch(() => wanted && setServer(null)); // the choice is there, with fewer words
    return () => {
      wanted = false;
    };
  }, [model, source, attempt]);
  if (inspection !== null) {
    return <Filled {...props} inspection={inspection} server={server} />;
  }
  return (
    <div className="atoll-Form" data-testid="atoll-run-form">
      {problem === null ? (
        <p role="status">Looking at the notebook…</p>
      ) : (
        <ProblemView problem={problem} />
      )}
      <div className="atoll-Form-buttons">
        <button
          type="button"
          className="jp-Dialog-button jp-mod-reject jp-mod-styled"
          onClick={close}
        >
          <span className="jp-Dialog-buttonLabel">Cancel</span>
        </button>
        {problem !== null && (
          <button
            type="button"
            className="jp-Dialog-button jp-mod-accept jp-mod-styled"
            onClick={() => {
              setProblem(null);
              setAttempt(attempt + 1);
            }}
          >
            <span className="jp-Dialog-buttonLabel">Try again</span>
          </button>
        )}
      </div>
    </div>
  );
}

function Filled(
  props: RunFormProps & { inspection: Inspection; server: Server | null }
): ReactElement {
  const { model, source, inspection, server, close, submitted } = props;
  const [texts, setTexts] = useState<Texts>(() =>
    firstTexts(inspection, source.values ?? inspection.last_values)
  );
  const [environment, setEnvironment] = useState(source.digest ?? 'server');
  const limits = useLimits();
  const files = useFiles(source);
  const uses = useResources(inspection.resources, source.resources);
  const [tried, setTried] = useState(false);
  const { busy, problem, run } = useAction();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>('input, select, textarea')?.focus();
  }, []);

  const { values, errors } = choice(inspection, texts);
  const wrong = limits.wrong || uses.wrong || Object.keys(errors).length > 0;
  const asked: Asked = {
    values,
    environment,
    limit: limits.seconds,
    retries: limits.retries,
    files: files.paths,
    resources: uses.resources
  };

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setTried(true);
    if (wrong) {
      const field = form.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
      field?.focus();
      return;
    }
    run(async () => {
      const request = requestFor(source, asked, files.again);
      const job = await model.submit(request, asked.files, leftOut =>
        Notification.warning(leftOut, { autoClose: false })
      );
      close();
      submitted(job);
    });
  };

  return (
    <form
      ref={form}
      className="atoll-Form atoll-RunForm"
      noValidate
      onSubmit={submit}
      aria-label={`Run ${source.name} as a job`}
      data-testid="atoll-run-form"
    >
      <div className="atoll-RunForm-fields">
        <p className="atoll-RunForm-notebook atoll-quiet">
          <strong>{source.name}</strong> · {plural(inspection.code_cells, 'code cell')}
          {inspection.kernel !== '' && ` · ${inspection.kernel}`}
        </p>
        <Parameters
          inspection={inspection}
          texts={texts}
          errors={errors}
          last={source.values === undefined ? inspection.last_values : {}}
          change={(name, text) => setTexts({ ...texts, [name]: text })}
        />
        <EnvironmentField
          value={environment}
          server={server}
          digest={source.digest ?? null}
          onChange={setEnvironment}
        />
        {limits.field}
        {files.field}
        {uses.field}
      </div>
      <div className="atoll-RunForm-foot">
        {problem !== null && <ProblemView problem={problem} />}
        {tried && wrong && <Wrong />}
        <SameInCode source={source} asked={asked} />
        <FormButtons accept={busy ? 'Submitting…' : 'Run'} busy={busy} close={close} />
      </div>
    </form>
  );
}

/** How long it may take, and how often it may fail. */
function useLimits(): {
  seconds: number | null;
  retries: number;
  wrong: boolean;
  field: ReactElement;
} {
  const [text, setText] = useState('');
  const [unit, setUnit] = useState<Unit>('min');
  const [retries, setRetries] = useState(0);
  const read = readLimit(text, unit);
  const error = typeof read === 'object' && read !== null ? read.error : null;
  const field = (
    <>
      <LimitField value={text} unit={unit} error={error} onChange={setText} onUnit={setUnit} />
      <RetriesField value={retries} onChange={setRetries} />
    </>
  );
  return { seconds: typeof read === 'number' ? read : null, retries, wrong: error !== null, field };
}

/** Which files the job is given: those of an earlier run, or those that are named. */
function useFiles(source: Source): { paths: string[]; again: boolean; field: ReactElement } {
  const [text, setText] = useState('');
  const [again, setAgain] = useState(source.given !== undefined);
  const field = (
    <FilesField
      value={text}
      given={source.given?.files ?? null}
      again={again}
      onChange={setText}
      onAgain={setAgain}
    />
  );
  return { paths: again ? [] : readPaths(text), again, field };
}

function requestFor(source: Source, asked: Asked, again: boolean): JobRequest {
  return {
    name: source.name,
    folder: PathExt.dirname(source.path),
    notebook: source.notebook,
    parameters: asked.values,
    environment: asked.environment,
    timeout_s: asked.limit,
    retries: asked.retries,
    ...(Object.keys(asked.resources).length > 0 ? { resources: asked.resources } : {}),
    ...(again ? { files_of: source.given?.job ?? null } : {})
  };
}

function Wrong(): ReactElement {
  return (
    <p className="atoll-Field-error" role="alert">
      Something above needs another value.
    </p>
  );
}

function Parameters(props: {
  inspection: Inspection;
  texts: Texts;
  errors: Record<string, string>;
  last: Values;
  change: (name: string, text: string) => void;
}): ReactElement {
  const { inspection, texts, errors, last, change } = props;
  if (inspection.parameters.length === 0) {
    return (
      <p className="atoll-quiet" data-testid="atoll-no-parameters">
        It has no parameters. To give it some, set them in one cell and tag that cell{' '}
        <code>parameters</code>: the gears in the right sidebar, Common Tools, Cell Tags.
      </p>
    );
  }
  return (
    <fieldset className="atoll-Fieldset">
      <legend>Parameters</legend>
      {inspection.parameters.map(parameter => (
        <ParameterField
          key={parameter.name}
          parameter={parameter}
          text={texts[parameter.name] ?? ''}
          error={errors[parameter.name] ?? null}
          last={
            parameter.name in last &&
            texts[parameter.name] === shown(parameter.type, last[parameter.name])
          }
          onChange={text => change(parameter.name, text)}
        />
      ))}
    </fieldset>
  );
}

/** The form as code: what one does here once, one may want to do a hundred times. */
function SameInCode(props: { source: Source; asked: Asked }): ReactElement {
  const { source, asked } = props;
  const [open, setOpen] = useState(false);
  const shell = cli(source.path, asked);
  const python = sdk(source.name, asked);
  return (
    <div className={`atoll-SameInCode${open ? ' atoll-mod-open' : ''}`}>
      <div className="atoll-Buttons">
        <CopyButton
          text={shell ?? ''}
          label="Copy as CLI"
          obstacle={shell === null ? NO_COMMAND : null}
        >
          Copy as CLI
        </CopyButton>
        <CopyButton text={python} label="Copy as SDK">
          Copy as SDK
        </CopyButton>
        <TextButton quiet onClick={() => setOpen(!open)}>
          {open ? 'Hide the code' : 'Show the code'}
        </TextButton>
      </div>
      {open && (
        <>
          {shell === null ? (
            <p className="atoll-quiet">{NO_COMMAND}</p>
          ) : (
            <pre aria-label="As CLI">{shell}</pre>
          )}
          <pre aria-label="As SDK">{python}</pre>
        </>
      )}
    </div>
  );
}
