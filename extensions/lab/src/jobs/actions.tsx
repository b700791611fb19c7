/** What one can do with a job, wherever it is shown: in its row, its details, the palette. */

import { PathExt } from '@jupyterlab/coreutils';

import type { Job } from '../api';
import { confirmed } from '../views/dialog';
import type { MenuEntry } from '../views/parts';
import { final, title } from './describe';
import type { JobsModel } from './model';
import type { Source } from './source';

/** What a job's actions need of the lab around it. */
export interface JobActions {
  /** Write the output notebook among the files and show it. */
  openOutput: (job: Job) => Promise<void>;
  /** Show the run form. */
  openForm: (source: Source) => void;
  /** Show the job in a tab of the main area. */
  openWide: (job: Job) => void;
}

/** Whether there is an output notebook: one is written from the first cell on. */
export function hasOutput(job: Job): boolean {
  return job.started_at !== null && job.status !== 'admitted' && job.status !== 'starting';
}

/** Show the run form with the job's notebook, values and environment. */
export async function changeAndRun(
  model: JobsModel,
  job: Job,
  { openForm }: JobActions
): Promise<void> {
  openForm({
    name: job.name,
    path: PathExt.join(job.folder, job.name),
    notebook: await model.notebook(job),
    values: job.parameters,
    resources: job.resources,
    ...(job.environment === null ? {} : { digest: job.environment }),
    ...(job.files.count === 0 ? {} : { given: { job: job.id, files: job.files.count } })
  });
}

export async function remove(model: JobsModel, job: Job): Promise<void> {
  const sure = await confirmed({
    title: 'Delete this job?',
    body: `Lost are the log and the output of ${title(job)} as the platform keeps them. What you opened of it stays in your files.`,
    accept: 'Delete',
    warn: true
  });
  if (sure) {
    await model.remove(job);
  }
}

/** The menu of a job. `run` shows what fails beside the list. */
export function menuEntries(
  model: JobsModel,
  job: Job,
  actions: JobActions,
  run: (act: () => Promise<void>) => void
): MenuEntry[] {
  const done = final(job);
  return [
    {
      label: done ? 'Open output' : 'Open output so far',
      disabled: !hasOutput(job),
      run: () => run(() => actions.openOutput(job))
    },
    { label: 'Open wide', run: () => actions.openWide(job) },
    {
      label: 'Run again',
      separated: true,
      run: () =>
        run(async () => {
          await model.again(job);
        })
    },
    {
      label: 'Run again with other values…',
      run: () => run(() => changeAndRun(model, job, actions))
    },
    done
      ? { label: 'Delete…', separated: true, run: () => run(() => remove(model, job)) }
      : {
          label: 'Stop',
          separated: true,
          disabled: job.target === 'stopped',
          run: () => run(() => model.stop(job))
        }
  ];
}
