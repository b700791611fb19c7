/** The forms of the Datasets panel: register a dataset, and say who may use one. */

import { useEffect, useState, type FormEvent, type ReactElement } from 'react';

import type { Dataset, DatasetRequest } from '../api';
import { Field, FormButtons, TextField } from '../views/form';
import { useAction } from '../views/hooks';
import { ProblemView } from '../views/parts';
import { SourceFields } from './fields';
import type { DatasetsModel } from './model';
import { location, mistake, NO_SOURCE } from './source';

type Audience = 'owner' | 'everyone' | 'named';

function principals(audience: Audience, named: string): string[] {
  if (audience === 'everyone') {
    return ['everyone'];
  }
  if (audience === 'owner') {
    return [];
  }
  return named
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
    .map(name => (/^(user|group):|^everyone$/.test(name) ? name : `user:${name}`));
}

function AudienceFields(props: {
  audience: Audience;
  named: string;
  onAudience: (audience: Audience) => void;
  onNamed: (named: string) => void;
}): ReactElement {
  return (
    <>
      <Field label="Who may use it">
        <select
          className="jp-mod-styled"
          name="audience"
          value={props.audience}
          onChange={event => props.onAudience(event.target.value as Audience)}
        >
          <option value="owner">Its owner alone</option>
          <option value="everyone">Everyone</option>
          <option value="named">Some people and groups</option>
        </select>
      </Field>
      {props.audience === 'named' && (
        <TextField
          label="People and groups"
          name="named"
          hint="Separated by commas: bo, cy, group:sales"
          value={props.named}
          onChange={props.onNamed}
        />
      )}
    </>
  );
}

export function AddForm(props: { model: DatasetsModel; close: () => void }): ReactElement {
  const { model, close } = props;
  const [name, setName] = useState('');
  const [source, setSource] = useState(NO_SOURCE);
  const [description, setDescription] = useState('');
  const [audience, setAudience] = useState<Audience>('owner');
  const [named, setNamed] = useState('');
  const [platform, setPlatform] = useState(false);
  const [admin, setAdmin] = useState(false);
  const { busy, problem, run } = useAction();
  useEffect(() => {
    model
      .me()
      .then(me => setAdmin(me.admin))
      .catch(() => setAdmin(false));
  }, [model]);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const request: DatasetRequest = {
      name: name.trim(),
      location: location(source),
      ...(source.format === '' ? {} : { format: source.format }),
      description: description.trim(),
      grants: principals(audience, named),
      platform
    };
    run(async () => {
      await model.add(request);
      close();
    });
  };
  return (
    <form className="atoll-Form" onSubmit={submit} aria-label="Add a dataset">
      <TextField
        label="Name"
        name="name"
        hint="Lower-case letters, digits and single . _ - between them"
        placeholder="flights"
        required
        value={name}
        onChange={setName}
      />
      <SourceFields source={source} onSource={setSource} />
      <Field label="Description">
        <textarea
          className="jp-mod-styled"
          name="description"
          rows={2}
          maxLength={2000}
          value={description}
          onChange={event => setDescription(event.target.value)}
        />
      </Field>
      <AudienceFields {...{ audience, named, onAudience: setAudience, onNamed: setNamed }} />
      {admin && (
        <label className="atoll-Check">
          <input
            type="checkbox"
            checked={platform}
            onChange={event => setPlatform(event.target.checked)}
          />
          It belongs to the platform, not to me
        </label>
      )}
      {problem !== null && <ProblemView problem={problem} />}
      <FormButtons
        accept={busy ? 'Adding…' : 'Add'}
        busy={busy}
        disabled={mistake(source.options) !== null}
        close={close}
      />
    </form>
  );
}

export function GrantForm(props: {
  model: DatasetsModel;
  dataset: Dataset;
  close: () => void;
}): ReactElement {
  const { model, dataset, close } = props;
  const [audience, setAudience] = useState<Audience>(() => audienceOf(dataset.grants));
  const [named, setNamed] = useState(() =>
    audienceOf(dataset.grants) === 'named' ? dataset.grants.join(', ') : ''
  );
  const { busy, problem, run } = useAction();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    run(async () => {
      await model.grant(dataset, principals(audience, named));
      close();
    });
  };
  return (
    <form className="atoll-Form" onSubmit={submit} aria-label={`Who may use ${dataset.name}`}>
      <AudienceFields {...{ audience, named, onAudience: setAudience, onNamed: setNamed }} />
      {problem !== null && <ProblemView problem={problem} />}
      <FormButtons accept="Save" busy={busy} close={close} />
    </form>
  );
}

function audienceOf(grants: string[]): Audience {
  if (grants.length === 0) {
    return 'owner';
  }
  return grants.length === 1 && grants[0] === 'everyone' ? 'everyone' : 'named';
}
