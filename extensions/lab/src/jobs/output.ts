/** Puts a job's output notebook among the person's files, over nothing that is there. */

import { PathExt } from '@jupyterlab/coreutils';
import type { INotebookContent } from '@jupyterlab/nbformat';
import { ServerConnection, type Contents } from '@jupyterlab/services';

import type { Job } from '../api';
import { final } from './describe';

/** What is needed of the lab's files. */
export type Files = Pick<Contents.IManager, 'get' | 'newUntitled' | 'save' | 'rename' | 'delete'>;

/** The notebook's own note of where it came from. */
const ORIGIN = 'atoll';

interface Origin {
  job: string;
  /** Whether it is the whole output: the job had ended. */
  complete: boolean;
}

/**
 * Write the output where it overwrites nothing; the answer is its path.
 *
 * A whole output that was written before is not written again.
 */
export async function writeOutput(
  files: Files,
  folder: string,
  job: Job,
  fetch: () => Promise<INotebookContent>
): Promise<string> {
  const inside = await ensureFolder(files, folder);
  const names = await namesIn(files, inside);
  const stem = outputStem(job);
  let number = 1;
  for (; names.has(outputName(stem, number)); number++) {
    const path = PathExt.join(inside, outputName(stem, number));
    if (await holdsAllOf(files, path, job)) {
      return path;
    }
  }
  return writeNew(files, inside, withOrigin(await fetch(), job), stem, number);
}

/** `report-20261124-184200` for `report.ipynb`: the moment is that of submission, here. */
export function outputStem(job: Job): string {
  const pad = (value: number): string => String(value).padStart(2, '0');
  const at = new Date(job.created_at);
  const day = `${String(at.getFullYear())}${pad(at.getMonth() + 1)}${pad(at.getDate())}`;
  const time = `${pad(at.getHours())}${pad(at.getMinutes())}${pad(at.getSeconds())}`;
  const name = PathExt.basename(job.name, '.ipynb')
    .replaceAll(/[\\/:*?"<>|\p{Cc}]/gu, '-')
    .replace(/^\.+/, '')
    .slice(0, 100);
  return `${name === '' ? 'notebook' : name}-${day}-${time}`;
}

function outputName(stem: string, number: number): string {
  return `${stem}${number === 1 ? '' : `-${String(number)}`}.ipynb`;
}

/** Make the folder and those it lies in, where they are not there; the answer is its path. */
async function ensureFolder(files: Files, folder: string): Promise<string> {
  const names = folder.split('/').filter(name => name !== '' && name !== '.' && name !== '..');
  let path = '';
  for (const name of names) {
    const next = PathExt.join(path, name);
    if (!(await namesIn(files, path)).has(name)) {
      await makeFolder(files, path, next);
    }
    path = next;
  }
  return path;
}

async function makeFolder(files: Files, inside: string, path: string): Promise<void> {
  const made = await files.newUntitled({ path: inside, type: 'directory' });
  try {
    await files.rename(made.path, path);
  } catch (error) {
    await files.delete(made.path);
    if (!isTaken(error)) {
      throw error;
    }
  }
}

async function namesIn(files: Files, folder: string): Promise<Set<string>> {
  const listing = await files.get(folder, { type: 'directory', content: true });
  return new Set((listing.content as Contents.IModel[]).map(file => file.name));
}

async function holdsAllOf(files: Files, path: string, job: Job): Promise<boolean> {
  const file = await files.get(path, { type: 'notebook', content: true });
  const origin = (file.content as INotebookContent).metadata[ORIGIN] as Origin | undefined;
  return origin?.job === job.id && origin.complete;
}

/** A file of a name nobody has, filled, then given its name: a rename never overwrites. */
async function writeNew(
  files: Files,
  folder: string,
  content: INotebookContent,
  stem: string,
  from: number
): Promise<string> {
  const made = await files.newUntitled({ path: folder, type: 'notebook' });
  try {
    await files.save(made.path, { type: 'notebook', format: 'json', content });
    for (let number = from; ; number++) {
      const path = PathExt.join(folder, outputName(stem, number));
      try {
        await files.rename(made.path, path);
        return path;
      } catch (error) {
        if (!isTaken(error)) {
          throw error;
        }
      }
    }
  } catch (error) {
    await files.delete(made.path);
    throw error;
  }
}

function withOrigin(notebook: INotebookContent, job: Job): INotebookContent {
  const origin = { job: job.id, complete: final(job) };
  return { ...notebook, metadata: { ...notebook.metadata, [ORIGIN]: origin } };
}

function isTaken(error: unknown): boolean {
  return error instanceof ServerConnection.ResponseError && error.response.status === 409;
}
