import type { INotebookContent } from '@jupyterlab/nbformat';
import { ServerConnection, type Contents } from '@jupyterlab/services';
import { beforeEach, describe, expect, test } from 'vitest';

import { outputStem, writeOutput, type Files } from '../../src/jobs/output';
import { job } from '../things';

interface Entry {
  type: 'directory' | 'notebook';
  content: unknown;
}

/** A person's files, with the rules of a Jupyter server: a rename overwrites nothing. */
class Disk {
  readonly entries = new Map<string, Entry>([['', { type: 'directory', content: null }]]);
  untitled = 0;

  get files(): Files {
    return {
      get: path => Promise.resolve(this.look(path)),
      newUntitled: ({ path = '', type = 'notebook' } = {}) => {
        const made = `${path === '' ? '' : `${path}/`}Untitled${String(this.untitled++)}`;
        this.entries.set(made, { type: type as Entry['type'], content: null });
        return Promise.resolve({ path: made } as Contents.IModel);
      },
      save: (path, { content } = {}) => {
        this.entries.set(path, { type: 'notebook', content });
        return Promise.resolve({ path } as Contents.IModel);
      },
      rename: (from, to) => {
        const entry = this.entries.get(from);
        if (entry === undefined || this.entries.has(to)) {
          const response = new Response(null, { status: entry === undefined ? 404 : 409 });
          return Promise.reject(new ServerConnection.ResponseError(response));
        }
        this.entries.delete(from);
        this.entries.set(to, entry);
        return Promise.resolve({ path: to } as Contents.IModel);
      },
      delete: path => {
        this.entries.delete(path);
        return Promise.resolve();
      }
    };
  }

  get names(): string[] {
    return [...this.entries.keys()].filter(path => path !== '').sort();
  }

  private look(path: string): Contents.IModel {
    const entry = this.entries.get(path);
    if (entry === undefined) {
      throw new Error(`no ${path}`);
    }
    const inside = [...this.entries.keys()].filter(
      other => other !== '' && other.split('/').slice(0, -1).join('/') === path
    );
    const listed = inside.map(other => ({ name: other.split('/').pop() }));
    const content = entry.type === 'directory' ? listed : entry.content;
    return { path, type: entry.type, content } as unknown as Contents.IModel;
  }
}

const NOTEBOOK: INotebookContent = { cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 };
const done = job({ finished_at: '2026-11-24T17:01:00Z' });
const stem = outputStem(done);

let disk: Disk;
let fetched: number;

beforeEach(() => {
  disk = new Disk();
  fetched = 0;
});

function write(one = done, folder = 'atoll-outputs'): Promise<string> {
  return writeOutput(disk.files, folder, one, () => {
    fetched++;
    return Promise.resolve(NOTEBOOK);
  });
}

test('the output lies in a folder that is made for it, and says where it came from', async () => {
  expect(await write()).toBe(`atoll-outputs/${stem}.ipynb`);
  expect(disk.names).toEqual(['atoll-outputs', `atoll-outputs/${stem}.ipynb`]);
  const entry = disk.entries.get(`atoll-outputs/${stem}.ipynb`);
  expect((entry?.content as INotebookContent).metadata.atoll).toEqual({
    job: 'j-1',
    complete: true
  });
});

test('a whole output is written once', async () => {
  const first = await write();
  expect(await write()).toBe(first);
  expect(fetched).toBe(1);
});

test('what a running job gave so far is written anew each time', async () => {
  const running = job({ status: 'running' });
  expect(await write(running)).toBe(`atoll-outputs/${stem}.ipynb`);
  expect(await write(running)).toBe(`atoll-outputs/${stem}-2.ipynb`);
  expect(await write()).toBe(`atoll-outputs/${stem}-3.ipynb`);
});

test('a file of that name that is none of ours stays as it is', async () => {
  const mine = { type: 'notebook', content: { ...NOTEBOOK, metadata: { mine: true } } } as const;
  disk.entries.set('atoll-outputs', { type: 'directory', content: null });
  disk.entries.set(`atoll-outputs/${stem}.ipynb`, mine);
  expect(await write()).toBe(`atoll-outputs/${stem}-2.ipynb`);
  expect(disk.entries.get(`atoll-outputs/${stem}.ipynb`)).toBe(mine);
});

test('a name taken at the last moment is left to who has it', async () => {
  const { files } = disk;
  const taken = { type: 'notebook', content: 'another tab' } as const;
  const path = await writeOutput(
    {
      ...files,
      save: async (at, options) => {
        disk.entries.set(`out/${stem}.ipynb`, taken);
        return files.save(at, options);
      }
    },
    'out',
    done,
    () => Promise.resolve(NOTEBOOK)
  );
  expect(path).toBe(`out/${stem}-2.ipynb`);
  expect(disk.entries.get(`out/${stem}.ipynb`)).toBe(taken);
});

test('nothing half-written stays where the disk is full', async () => {
  const files = { ...disk.files, save: () => Promise.reject(new Error('no space')) };
  const written = writeOutput(files, 'out', done, () => Promise.resolve(NOTEBOOK));
  await expect(written).rejects.toThrow('no space');
  expect(disk.names).toEqual(['out']);
});

test.each([
  ['a/b//c', 'a/b/c/'],
  ['../../etc', 'etc/'],
  ['', '']
])('the folder %j stays among the person’s files', async (folder, start) => {
  expect(await write(done, folder)).toBe(`${start}${stem}.ipynb`);
});

describe('the name', () => {
  test('is the notebook’s, with the moment of submission', () => {
    expect(stem).toMatch(/^report-20261124-\d{6}$/);
  });

  test.each(['', '../../x.ipynb', 'a/b.ipynb', 'a\u0000b', '.hidden.ipynb', 'ü'.repeat(300)])(
    'of %j is a plain one',
    name => {
      const plain = outputStem(job({ name }));
      expect(plain).not.toMatch(/[/\\\p{Cc}]|^\./u);
      expect(plain.length).toBeLessThan(120);
    }
  );
});
