/** Sharing a checkpoint: who may start from it, one more, and taking it back. And what others share. */

import { useId, useState, type FormEvent, type ReactElement } from 'react';

import type { Checkpoint } from '../api';
import { Field, FormButtons, TextField } from '../views/form';
import { moment, shortDigest, size } from '../views/format';
import { useAction, useChanges, useNow } from '../views/hooks';
import { CopyButton, ProblemView, Section, TextButton } from '../views/parts';
import type { EnvironmentModel } from './model';

type Kind = 'user' | 'group' | 'everyone';

/** `user:bob` for people. */
export function whom(principal: string): string {
  const [kind, name] = [principal.split(':')[0], principal.slice(principal.indexOf(':') + 1)];
  return kind === 'everyone' ? 'everyone' : kind === 'group' ? `the group ${name}` : name;
}

export function ShareForm(props: {
  model: EnvironmentModel;
  id: string;
  close: () => void;
}): ReactElement {
  const { model, id, close } = props;
  useChanges(model.changed);
  const [kind, setKind] = useState<Kind>('user');
  const [name, setName] = useState('');
  const { busy, problem, run } = useAction();
  const checkpoint = model.byId(id);
  const given = name.trim();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (checkpoint !== null && (kind === 'everyone' || given !== '')) {
      run(async () => {
        await model.share(checkpoint, kind === 'everyone' ? kind : `${kind}:${given}`);
        setName('');
      });
    }
  };
  return (
    <form className="atoll-Form" onSubmit={submit} aria-label="Share the environment">
      <p className="atoll-quiet">
        They can start with everything that is in it, without your files, and go on in environments
        of their own. What they have started stays theirs when you take it back.
      </p>
      <Grants
        grants={checkpoint?.shared_with ?? []}
        busy={busy}
        takeBack={principal =>
          run(async () => {
            if (checkpoint !== null) {
              await model.takeBack(checkpoint, principal);
            }
          })
        }
      />
      <Field label="Share with">
        <select
          className="jp-mod-styled"
          name="kind"
          value={kind}
          onChange={event => setKind(event.target.value as Kind)}
        >
          <option value="user">a user</option>
          <option value="group">a group</option>
          <option value="everyone">everyone</option>
        </select>
      </Field>
      {kind !== 'everyone' && (
        <TextField
          label={kind === 'user' ? 'User name' : 'Group'}
          name="name"
          value={name}
          onChange={setName}
        />
      )}
      {problem !== null && <ProblemView problem={problem} />}
      <FormButtons
        accept="Share"
        leave="Done"
        busy={busy}
        disabled={kind !== 'everyone' && given === ''}
        close={close}
      />
    </form>
  );
}

function Grants(props: {
  grants: readonly string[];
  busy: boolean;
  takeBack: (principal: string) => void;
}): ReactElement {
  const { grants, busy, takeBack } = props;
  const id = useId();
  if (grants.length === 0) {
    return <p>Shared with nobody.</p>;
  }
  return (
    <div className="atoll-Field">
      <span className="atoll-Field-label" id={id}>
        Shared with
      </span>
      <ul className="atoll-Grants" aria-labelledby={id}>
        {grants.map(principal => (
          <li key={principal}>
            {whom(principal)}
            <TextButton
              quiet
              disabled={busy}
              label={`Take it back from ${whom(principal)}`}
              onClick={() => takeBack(principal)}
            >
              Take back
            </TextButton>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What others share with this person: it is chosen where a server is started. */
export function SharedWithMe({ model }: { model: EnvironmentModel }): ReactElement | null {
  const now = useNow(60_000);
  if (model.shared.length === 0) {
    return null;
  }
  return (
    <Section title="Shared with me" count={model.shared.length} testId="atoll-shared">
      <ul className="atoll-Rows" aria-label="Environments that others share">
        {model.shared.map(one => (
          <li key={one.id} className="atoll-Row-details">
            <div>
              <strong>{one.user}</strong>, {moment(new Date(one.created_at), now)}
              <span className="atoll-quiet">{about(one)}</span>
              {model.lentBy !== null && one.digest === model.server?.environment && (
                <div>
                  <span className="atoll-mod-good" aria-hidden="true">
                    ●
                  </span>{' '}
                  Your server began with it
                </div>
              )}
            </div>
            {one.digest !== null && (
              <div className="atoll-Buttons">
                <code title={one.digest}>{shortDigest(one.digest)}</code>
                <CopyButton text={one.digest} label={`Copy the digest of ${one.user}’s`} />
              </div>
            )}
          </li>
        ))}
      </ul>
      <p className="atoll-Section-empty atoll-quiet">
        Choose one on the start page. It runs with your rights: start from people whom you trust.
      </p>
    </Section>
  );
}

function about(one: Checkpoint): string {
  const note = one.note === '' ? '' : ` · “${one.note}”`;
  return `${note} · ${size(one.size)}`;
}
