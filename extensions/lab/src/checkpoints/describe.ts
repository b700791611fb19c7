/** How an environment and its checkpoints are put into few words. */

import { SERVER_AWAY, type Changes, type Checkpoint, type Package, type Progress } from '../api';
import type { Events } from '../events';
import { clock, moment, plural, size } from '../views/format';
import type { EnvironmentModel } from './model';

export interface StatusWords {
  mark: string;
  mood: 'good' | 'busy' | 'warning' | 'bad' | 'none';
  /** For the status bar: a few words. */
  text: string;
  /** For the tooltip: a sentence. */
  long: string;
}

/** What the status bar says: is it saved? */
export function status(
  model: EnvironmentModel,
  events: Pick<Events, 'state' | 'problem'>,
  now: Date
): StatusWords {
  const { server, saving, failed, unsaved } = model;
  if (events.state === 'stopped') {
    const long = 'Your server is stopped; jobs go on. The Environment panel leads to its start.';
    return { mark: '■', mood: 'none', text: 'server stopped', long };
  }
  if (events.state === 'away' && events.problem?.code === SERVER_AWAY) {
    const { detail, hint } = events.problem;
    return {
      mark: '▲',
      mood: 'warning',
      text: 'server does not answer',
      long: `${detail} ${hint ?? ''}`
    };
  }
  if (server === null || events.state === 'away') {
    const long = 'The platform does not answer. Saving goes on when it is back.';
    return { mark: '▲', mood: 'warning', text: 'platform away', long };
  }
  if (model.heldUp !== null) {
    const text = 'not saved yet, trying again';
    return { mark: '▲', mood: 'warning', text, long: model.heldUp };
  }
  if (saving !== null) {
    const share = percentDone(saving.progress);
    const text = share === null ? 'saving' : `saving ${share}`;
    return { mark: '↻', mood: 'busy', text, long: saving.message ?? 'The environment is saved.' };
  }
  if (failed !== null) {
    const reason = whyNotSaved(failed);
    return { mark: '▲', mood: 'bad', text: `not saved: ${reason}`, long: `Not saved. ${reason}` };
  }
  const saved = savedAt(model);
  if (unsaved > 0) {
    const changes = plural(unsaved, 'unsaved change');
    const long = `${changes} ${since(model, now)}. It is saved when the server stops, or now with a click.`;
    return { mark: '◐', mood: 'warning', text: changes, long };
  }
  if (saved === null) {
    const long = `Nothing was installed or changed ${since(model, now)}, so there is nothing to save.`;
    return { mark: '○', mood: 'none', text: 'nothing to save', long };
  }
  return {
    mark: '●',
    mood: 'good',
    text: `saved ${moment(saved, now)}`,
    long: `Everything installed or changed up to ${clock(saved)} is saved.`
  };
}

/** When what the server began with was saved; null where that is the base, or another's. */
export function savedAt({ server, lentBy }: EnvironmentModel): Date | null {
  return lentBy !== null || server?.saved_at == null ? null : new Date(server.saved_at);
}

/** What a change is meant against: `since 16:57`, `over the base`, `over bo’s environment`. */
export function since(model: EnvironmentModel, now: Date): string {
  const saved = savedAt(model);
  if (saved !== null) {
    return `since ${moment(saved, now)}`;
  }
  return model.lentBy === null ? 'over the base' : `over ${model.lentBy}’s environment`;
}

/** Why nothing was saved, without the words that say so. */
export function whyNotSaved(failed: Checkpoint): string {
  return failed.message?.replace(/^Not saved: /, '') ?? 'no reason given';
}

/** How much of it is done: `42 %`; null while the whole is unknown. */
export function percentDone(progress: Progress): string | null {
  const done = shareDone(progress);
  return done === null ? null : `${String(Math.floor(done * 100))} %`;
}

/** The same as a share from 0 to 1. */
export function shareDone(progress: Progress): number | null {
  return progress.total > 0 ? Math.min(1, progress.done / progress.total) : null;
}

/** An image as people know it: without the registry that it is in. */
export function imageName(image: string): string {
  return image.replace(/^(localhost|[^/]*[.:][^/]*)\//, '');
}

/** What a save is doing now: `copying: 22 of 52 MB`. */
export function stage(checkpoint: Checkpoint): string {
  const { done, total } = checkpoint.progress;
  const stages: Partial<Record<Checkpoint['status'], string>> = {
    requested: 'waiting',
    scanning: 'looking for what changed',
    copying: 'copying',
    publishing: 'keeping it'
  };
  const words = stages[checkpoint.status] ?? checkpoint.status;
  return total > 0 ? `${words}: ${size(done)} of ${size(total)}` : words;
}

/** What asked for the checkpoint. */
export function trigger(checkpoint: Checkpoint): string {
  return {
    stop: 'on stop',
    user: 'by hand',
    job: 'for a job',
    rebase: 'rebased',
    automatic: 'by itself'
  }[checkpoint.trigger];
}

/** What one calls the checkpoint in a sentence: its note, or when it was made. */
export function name(checkpoint: Checkpoint, now: Date): string {
  const when = moment(new Date(checkpoint.created_at), now);
  return checkpoint.note === '' ? `the checkpoint of ${when}` : `“${checkpoint.note}” (${when})`;
}

export interface ChangeLine {
  mark: string;
  mood: 'good' | 'busy' | 'bad' | 'none';
  what: string;
  detail: string;
  /** For those who do not see the mark. */
  spoken: string;
}

/** `+ polars 2.1.0`, `↑ pandas 3.0.1 → 3.0.2`, `− xlrd 2.0.1`, `/opt/tools 12 files, 3.1 MB`. */
export function lines(changes: Changes): ChangeLine[] {
  const packages = changes.packages.map(packageLine);
  const directories = changes.directories.map(({ path, files, size: bytes }): ChangeLine => ({
    mark: '',
    mood: 'none',
    what: path,
    detail: `${plural(files, 'file')}, ${size(bytes)}`,
    spoken: 'changed'
  }));
  return [...packages, ...directories];
}

function packageLine({ name: what, before, after }: Package): ChangeLine {
  if (before === null) {
    return { mark: '+', mood: 'good', what, detail: after ?? '', spoken: 'added' };
  }
  if (after === null) {
    return { mark: '−', mood: 'bad', what, detail: before, spoken: 'removed' };
  }
  const lower = before.localeCompare(after, undefined, { numeric: true }) > 0;
  return {
    mark: lower ? '↓' : '↑',
    mood: 'busy',
    what,
    detail: `${before} → ${after}`,
    spoken: 'changed'
  };
}
