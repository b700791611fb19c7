/** A checkpoint in the list: what it is at a glance, what is in it when opened, what one can do. */

import { ellipsesIcon } from '@jupyterlab/ui-components';
import { useState, type FormEvent, type ReactElement } from 'react';

import type { Checkpoint } from '../api';
import { confirmed, showForm } from '../views/dialog';
import { FormButtons, TextField } from '../views/form';
import { exact, moment, shortDigest, size } from '../views/format';
import { useAction, useNow, type Action } from '../views/hooks';
import { pinIcon } from '../views/icons';
import { CopyButton, IconButton, openMenu, ProblemView, Tabs, TextButton } from '../views/parts';
import { CheckpointChanges } from './changes';
import { imageName, name, trigger } from './describe';
import { FINAL, type EnvironmentModel } from './model';
import type { EnvironmentProps } from './panel';
import { Left } from './left';
import { rebase, Rebasing, TooOld } from './rebase';
import { ShareForm, whom } from './share';

type RowProps = EnvironmentProps & { checkpoint: Checkpoint; action: Action };

export function CheckpointRow(props: RowProps): ReactElement {
  const { checkpoint } = props;
  const [open, setOpen] = useState(false);
  const now = useNow(60_000);
  const ready = checkpoint.status === 'ready';
  const created = new Date(checkpoint.created_at);
  const packages = checkpoint.changes?.packages.length ?? 0;
  const { mark, mood, says } = glance(checkpoint);
  return (
    <li data-testid={`atoll-checkpoint-${checkpoint.id}`}>
      <div className={`atoll-Row${open ? ' atoll-mod-chosen' : ''}`}>
        <button
          type="button"
          className="atoll-Row-main atoll-mod-flush"
          aria-expanded={open}
          title={tooltip(checkpoint, says)}
          onClick={() => setOpen(!open)}
        >
          <span className={`atoll-Row-mark atoll-mod-${mood}`} aria-hidden="true">
            {mark}
          </span>
          <span className="atoll-hidden">{says}</span>
          <time className="atoll-Row-time" dateTime={checkpoint.created_at}>
            {moment(created, now)}
          </time>
          <span className="atoll-Row-name atoll-quiet">
            {checkpoint.note === '' ? trigger(checkpoint) : `“${checkpoint.note}”`}
          </span>
          {checkpoint.pinned && (
            <pinIcon.react tag="span" className="atoll-icon" elementSize="small" title="Pinned" />
          )}
          {checkpoint.shared_with.length > 0 && (
            <span
              className="atoll-Row-shape"
              title={`Shared with ${checkpoint.shared_with.map(whom).join(', ')}`}
            >
              shared
            </span>
          )}
          {ready && packages > 0 && (
            <span className="atoll-Row-shape" title={`${String(packages)} packages over the base`}>
              +{packages}
            </span>
          )}
          {ready && (
            <span className="atoll-Row-shape atoll-Row-size atoll-quiet">
              {size(checkpoint.size)}
            </span>
          )}
        </button>
        <IconButton
          icon={ellipsesIcon}
          label={`More for ${name(checkpoint, now)}`}
          testId="atoll-checkpoint-menu"
          onClick={event => showMenu(event.currentTarget, props, setOpen)}
        />
      </div>
      {open && <Details {...props} />}
    </li>
  );
}

/** All that the row is too narrow for. */
function tooltip(checkpoint: Checkpoint, says: string): string {
  const about = [trigger(checkpoint), says].filter(word => word !== '').join(', ');
  const lines = [exact(new Date(checkpoint.created_at)), checkpoint.note, about];
  return lines.filter(line => line !== '').join('\n');
}

/** A mark, and what it says to those who do not see it. */
function glance(checkpoint: Checkpoint): { mark: string; mood: string; says: string } {
  if (!FINAL.has(checkpoint.status)) {
    return { mark: '↻', mood: 'busy', says: 'being made' };
  }
  if (checkpoint.status !== 'ready') {
    return { mark: '▲', mood: 'bad', says: 'not saved' };
  }
  if (checkpoint.current) {
    return { mark: '●', mood: 'good', says: 'current' };
  }
  const old = checkpoint.too_old !== null;
  return { mark: '○', mood: old ? 'warning' : 'none', says: old ? 'too old to start' : '' };
}

/** What everything began with, below the checkpoints. */
export function BaseRow(props: EnvironmentProps & { base: string; action: Action }): ReactElement {
  const { base, action, startFresh } = props;
  const [open, setOpen] = useState(false);
  return (
    <li data-testid="atoll-base">
      <div className={`atoll-Row${open ? ' atoll-mod-chosen' : ''}`}>
        <button
          type="button"
          className="atoll-Row-main atoll-mod-flush"
          aria-expanded={open}
          title={base}
          onClick={() => setOpen(!open)}
        >
          <span className="atoll-Row-mark" aria-hidden="true">
            ○
          </span>
          <span className="atoll-Row-time">base</span>{' '}
          <span className="atoll-Row-name atoll-quiet">{imageName(base)}</span>
        </button>
      </div>
      {open && (
        <div className="atoll-Row-details">
          <p className="atoll-quiet">The platform’s own packages, with nothing added.</p>
          <TextButton
            disabled={action.busy}
            testId="atoll-start-fresh"
            onClick={() => action.run(startFresh)}
          >
            Start fresh…
          </TextButton>
        </div>
      )}
    </li>
  );
}

/** Whether there is anything to go back from. */
function mayGoBack({ model, checkpoint }: RowProps): boolean {
  const starts = checkpoint.status === 'ready' && checkpoint.too_old === null;
  return starts && !(checkpoint.current && model.unsaved === 0);
}

function Details(props: RowProps): ReactElement {
  const { model, checkpoint, action, goBack } = props;
  if (!FINAL.has(checkpoint.status)) {
    const view = { model, checkpoint, action };
    return checkpoint.left ? <Left {...view} /> : <Rebasing {...view} />;
  }
  if (checkpoint.status !== 'ready') {
    return (
      <div className="atoll-Row-details">
        <div role="alert">{checkpoint.message ?? 'It failed, and no reason was given.'}</div>
      </div>
    );
  }
  const views = (['parent', 'base'] as const).map(against => ({
    id: against,
    label: against === 'parent' ? 'New in it' : 'Over the base',
    render: () => <CheckpointChanges {...{ model, checkpoint, against }} key={against} />
  }));
  return (
    <div className="atoll-Row-details">
      <TooOld {...{ model, checkpoint, action }} />
      {checkpoint.reason === 'incomplete' && <div role="note">{checkpoint.message}</div>}
      {mayGoBack(props) && (
        <TextButton
          disabled={action.busy}
          testId="atoll-go-back"
          onClick={() => action.run(() => goBack(checkpoint))}
        >
          Go back to it…
        </TextButton>
      )}
      <Tabs label="Changes" tabs={views} />
      {checkpoint.left_out.length > 0 && (
        <details>
          <summary>Not in it ({checkpoint.left_out.length})</summary>
          <ul className="atoll-Changes">
            {checkpoint.left_out.map(({ path, reason }) => (
              <li key={`${path} ${reason}`}>
                <code>{path}</code> <span className="atoll-quiet">{reason}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      {checkpoint.digest !== null && (
        <div className="atoll-Buttons">
          <span className="atoll-quiet">Digest</span>
          <code title={checkpoint.digest}>{shortDigest(checkpoint.digest)}</code>
          <CopyButton text={checkpoint.digest} label="Copy the digest" />
        </div>
      )}
    </div>
  );
}

function showMenu(anchor: HTMLElement, props: RowProps, setOpen: (open: boolean) => void): void {
  const { model, checkpoint, action, goBack, write } = props;
  const ready = checkpoint.status === 'ready';
  openMenu(anchor, [
    {
      label:
        mayGoBack(props) || !checkpoint.current
          ? 'Go back to it…'
          : 'Go back to it: it is what you have',
      disabled: !mayGoBack(props),
      run: () => action.run(() => goBack(checkpoint))
    },
    { label: 'Changes', disabled: !ready, run: () => setOpen(true) },
    {
      label: 'Rebase onto the newest base…',
      disabled: !ready,
      run: () => action.run(() => rebase(model, checkpoint))
    },
    {
      label: checkpoint.pinned ? 'Unpin' : 'Pin (keep it for good)',
      disabled: !ready,
      separated: true,
      run: () => action.run(() => model.edit(checkpoint, { pinned: !checkpoint.pinned }))
    },
    {
      label: 'Edit the note…',
      run: () => void showForm('Note', close => <NoteForm {...{ model, checkpoint, close }} />)
    },
    {
      label: 'Share…',
      disabled: !ready,
      run: () =>
        void showForm('Share', close => <ShareForm {...{ model, close }} id={checkpoint.id} />)
    },
    {
      label: 'Export requirements.txt',
      disabled: !ready,
      run: () =>
        action.run(async () => {
          const path = `requirements-${shortDigest(checkpoint.digest ?? checkpoint.id)}.txt`;
          await write(path, await model.requirements(checkpoint));
        })
    },
    {
      label: checkpoint.current ? 'Delete: this server continues from it' : 'Delete…',
      disabled: checkpoint.current,
      separated: true,
      run: () => action.run(() => remove(model, checkpoint))
    }
  ]);
}

async function remove(model: EnvironmentModel, checkpoint: Checkpoint): Promise<void> {
  const sure = await confirmed({
    title: 'Delete this checkpoint?',
    body: `${name(checkpoint, new Date())} cannot be gone back to any more. Other checkpoints, and jobs that run in this environment, are not affected.`,
    accept: 'Delete',
    warn: true
  });
  if (sure) {
    await model.remove(checkpoint);
  }
}

function NoteForm(props: {
  model: EnvironmentModel;
  checkpoint: Checkpoint;
  close: () => void;
}): ReactElement {
  const { model, checkpoint, close } = props;
  const [note, setNote] = useState(checkpoint.note);
  const { busy, problem, run } = useAction();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    run(async () => {
      await model.edit(checkpoint, { note: note.trim() });
      close();
    });
  };
  return (
    <form className="atoll-Form" onSubmit={submit} aria-label="Edit the note">
      <TextField label="Note" name="note" value={note} onChange={setNote} />
      {problem !== null && <ProblemView problem={problem} />}
      <FormButtons accept="Save" busy={busy} close={close} />
    </form>
  );
}
