/** The Environment panel: what is not saved, saving it, and what was saved before. */

import { refreshIcon } from '@jupyterlab/ui-components';
import { useState, type FormEvent, type ReactElement } from 'react';

import type { Checkpoint } from '../api';
import type { Events } from '../events';
import { exact, plural, relative } from '../views/format';
import { useAction, useChanges, useNow, type Action } from '../views/hooks';
import {
  AwayBanner,
  Empty,
  IconButton,
  ProblemView,
  ProgressBar,
  Section,
  TextButton
} from '../views/parts';
import { ChangeList } from './changes';
import { name, savedAt, shareDone, since, stage, whyNotSaved } from './describe';
import { ElsewhereNote } from './elsewhere';
import type { EnvironmentModel } from './model';
import { BaseRow, CheckpointRow } from './row';
import { SharedWithMe } from './share';

export interface EnvironmentProps {
  model: EnvironmentModel;
  events: Events;
  /** Ask whether to go back to the checkpoint, and do it. */
  goBack: (checkpoint: Checkpoint) => Promise<void>;
  /** Ask whether to begin with the base alone, and lead there. */
  startFresh: () => Promise<void>;
  /** Put a text file among the person's files and show it. */
  write: (path: string, text: string) => Promise<void>;
}

export function EnvironmentPanel(props: EnvironmentProps): ReactElement {
  const { model, events } = props;
  useChanges(model.changed, events.stateChanged);
  const action = useAction();
  return (
    <>
      <div className="atoll-Toolbar" role="toolbar" aria-label="Environment">
        <h2>Environment</h2>
        <IconButton icon={refreshIcon} label="Refresh" onClick={() => void model.refresh()} />
      </div>
      <AwayBanner events={events} />
      {action.problem !== null && (
        <ProblemView problem={action.problem} onDismiss={action.dismiss} />
      )}
      <div className="atoll-Panel-list">
        <Content {...props} action={action} />
      </div>
    </>
  );
}

function Content(props: EnvironmentProps & { action: Action }): ReactElement {
  const { model, events } = props;
  if (!model.present) {
    return (
      <Empty title="This server is not Atoll’s">
        It was not started by an Atoll platform, so its environment is not saved when it stops.
      </Empty>
    );
  }
  if (events.state === 'stopped') {
    // What was loaded is of before the stop, which saves what was not saved then.
    return (
      <Empty title="Stopping saves your environment">
        The next start goes on with all that you installed. What is saved is listed here when the
        server runs again.
      </Empty>
    );
  }
  if (!model.loaded) {
    return <Empty title="Loading…" />;
  }
  if (model.server === null) {
    return model.problem === null || events.silent ? (
      <Empty title="Nothing can be shown now">It is back when the platform answers.</Empty>
    ) : (
      <ProblemView problem={model.problem} />
    );
  }
  return (
    <>
      <Chosen {...props} />
      <Unsaved {...props} />
      <ElsewhereNote elsewhere={model.elsewhere} />
      <Saved {...props} />
      <SharedWithMe model={props.model} />
    </>
  );
}

/** What the next start continues from, where that is not what one would expect. */
function Chosen(props: EnvironmentProps & { action: Action }): ReactElement | null {
  const { model, action } = props;
  const now = useNow(60_000);
  const { chosen } = model;
  if (chosen === null) {
    return null;
  }
  return (
    <div className="atoll-Notice" role="status" data-testid="atoll-chosen">
      <div>
        The next start goes back to{' '}
        {chosen.checkpoint === null ? 'another environment' : name(chosen.checkpoint, now)}.
      </div>
      <TextButton
        disabled={action.busy}
        testId="atoll-chosen-undo"
        onClick={() => action.run(() => model.stay())}
      >
        Undo
      </TextButton>
    </div>
  );
}

function Unsaved(props: EnvironmentProps & { action: Action }): ReactElement {
  const { model, action } = props;
  const now = useNow(60_000);
  const { server, saving, failed, missed, unsaved } = model;
  const saved = savedAt(model);
  const before = since(model, now);
  const mark = unsaved > 0 ? '◐' : saved === null ? '○' : '●'; // as in the status bar
  const mood = unsaved > 0 ? 'warning' : saved === null ? 'none' : 'good';
  return (
    <div className="atoll-Unsaved" data-testid="atoll-unsaved">
      {saving !== null ? (
        <div className="atoll-Saving" role="status" data-testid="atoll-saving">
          <div>
            <span className="atoll-mod-busy" aria-hidden="true">
              ↻
            </span>{' '}
            Saving, {stage(saving)}
          </div>
          <ProgressBar share={shareDone(saving.progress)} label="Saving the environment" />
          {model.heldUp === null ? (
            <div className="atoll-quiet">You can go on working.</div>
          ) : (
            <div className="atoll-Problem" role="alert" data-testid="atoll-held-up">
              <span className="atoll-Problem-mark" aria-hidden="true">
                ▲
              </span>
              <div>{model.heldUp} You can go on working.</div>
            </div>
          )}
        </div>
      ) : (
        <div title={saved === null ? undefined : exact(saved)}>
          <span className={`atoll-mod-${mood}`} aria-hidden="true">
            {mark}
          </span>{' '}
          {unsaved > 0 ? `${plural(unsaved, 'change')} ${before}` : `Nothing changed ${before}`}
        </div>
      )}
      {model.current?.trigger === 'automatic' && saved !== null && (
        <div className="atoll-quiet" data-testid="atoll-by-itself">
          Saved by itself {relative(saved, now)}.
        </div>
      )}
      {missed !== null && (
        <div className="atoll-quiet" role="note" data-testid="atoll-missed">
          Not saved by itself {relative(new Date(missed.created_at), now)}: {whyNotSaved(missed)} It
          is tried again.
        </div>
      )}
      {failed !== null && (
        <div className="atoll-Problem" role="alert" data-testid="atoll-not-saved">
          <span className="atoll-Problem-mark" aria-hidden="true">
            ▲
          </span>
          <div>
            Not saved: {whyNotSaved(failed)}
            <div className="atoll-quiet">
              Nothing is lost: it is still in your running server, and tried again when that stops.
            </div>
          </div>
        </div>
      )}
      {server?.unsaved != null && unsaved > 0 && <ChangeList changes={server.unsaved} />}
      {saving === null && <SaveForm model={model} action={action} changed={unsaved > 0} />}
    </div>
  );
}

/** How long it is said that there was nothing to save. */
const IDLE_MS = 6_000;

function SaveForm(props: {
  model: EnvironmentModel;
  action: Action;
  changed: boolean;
}): ReactElement {
  const { model, action, changed } = props;
  const [note, setNote] = useState('');
  const [idle, setIdle] = useState(false);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setIdle(false);
    action.run(async () => {
      const news = await model.save(note.trim());
      setNote('');
      if (!news) {
        setIdle(true);
        setTimeout(() => {
          setIdle(false);
        }, IDLE_MS);
      }
    });
  };
  return (
    <form className="atoll-SaveForm" onSubmit={submit}>
      <input
        className="jp-mod-styled"
        aria-label="Note for this checkpoint (optional)"
        placeholder="Note (optional)"
        maxLength={500}
        value={note}
        onChange={event => setNote(event.target.value)}
      />
      <button
        type="submit"
        className={`atoll-TextButton${changed ? ' atoll-mod-primary' : ''}`}
        disabled={action.busy}
        data-testid="atoll-save"
      >
        Save now
      </button>
      {idle && !changed && (
        <div className="atoll-quiet" role="status" data-testid="atoll-nothing-new">
          Nothing changed, so there is nothing new to save.
        </div>
      )}
    </form>
  );
}

function Saved(props: EnvironmentProps & { action: Action }): ReactElement {
  const { model } = props;
  const finished = model.made;
  const base = model.server?.base_name ?? '';
  return (
    <Section title="Saved" count={finished.length} testId="atoll-saved">
      {finished.length === 0 && (
        <p className="atoll-Section-empty atoll-quiet">
          Nothing yet. What you install is saved when the server stops, and whenever you say so.
        </p>
      )}
      <ul className="atoll-Rows" aria-label="Saved environments">
        {finished.map(checkpoint => (
          <CheckpointRow key={checkpoint.id} {...props} checkpoint={checkpoint} />
        ))}
        {base !== '' && <BaseRow {...props} base={base} />}
      </ul>
    </Section>
  );
}
