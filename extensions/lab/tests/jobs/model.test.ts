import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Events } from '../../src/events';
import { JobsModel } from '../../src/jobs/model';
import { page, Platform, problem, until } from '../platform';
import { INFO, job } from '../things';

let platform: Platform;
let events: Events;
let model: JobsModel;

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new JobsModel(platform.api, events, INFO);
  events.connect();
  await until(() => platform.connections === 1);
});

afterEach(async () => {
  model.dispose();
  events.dispose();
  await platform.stop();
});

async function showing(...jobs: object[]): Promise<void> {
  platform.get('jobs', page(jobs));
  model.start();
  platform.say({ type: 'connected', problem: null });
  await until(() => model.jobs.length === jobs.length && model.loaded, 'the jobs');
  platform.calls.length = 0;
}

test('a job stands where it has come to', async () => {
  await showing(
    job({ id: 'a', status: 'running' }),
    job({ id: 'b', status: 'starting' }),
    job({ id: 'c', status: 'admitted' }),
    job({ id: 'd', status: 'failed' }),
    job({ id: 'e', status: 'stopped' }),
    job({ id: 'f', status: 'succeeded' })
  );
  const ids = model.groups('').map(([group, jobs]) => [group, jobs.map(one => one.id).join('')]);
  expect(ids).toEqual([
    ['Running', 'abc'],
    ['Queued', ''],
    ['Failed', 'd'],
    ['Done', 'ef']
  ]);
});

test('who waits stands in the order of the queue', async () => {
  platform.routes['GET jobs'] = () => ({
    body: page([
      job({ id: 'late', status: 'queued', position: 3 }),
      job({ id: 'first', status: 'queued', position: 1 })
    ])
  });
  await model.refresh();
  expect(model.groups('')[1]?.[1].map(one => one.id)).toEqual(['first', 'late']);
});

test('the filter looks at names, values and statuses', async () => {
  await showing(
    job({ id: 'a', name: 'train.ipynb' }),
    job({ id: 'b', parameters: { carrier: 'UA' } }),
    job({ id: 'c', status: 'failed' })
  );
  const found = (text: string): string[] =>
    model.groups(text).flatMap(([, jobs]) => jobs.map(one => one.id));
  expect(found('TRAIN')).toEqual(['a']);
  expect(found('ua')).toEqual(['b']);
  expect(found('failed')).toEqual(['c']);
});

test('an event fetches the one job that changed', async () => {
  await showing(job({ id: 'a', status: 'running' }), job({ id: 'b' }));
  platform.get('jobs/a', job({ id: 'a', status: 'running', step: { cell: 7, cells: 22 } }));
  platform.changed('job', 'a');
  await until(() => model.byId('a')?.step.cell === 7);
  expect(platform.said).toEqual(['GET jobs/a']);
});

test('a new job appears, newest first', async () => {
  await showing(job({ id: 'a', created_at: '2026-11-24T17:00:00Z' }));
  platform.get('jobs/b', job({ id: 'b', created_at: '2026-11-24T18:00:00Z' }));
  platform.changed('job', 'b', 'created');
  await until(() => model.jobs.length === 2);
  expect(model.jobs.map(one => one.id)).toEqual(['b', 'a']);
});

test('a job that was deleted elsewhere goes', async () => {
  await showing(job({ id: 'a' }), job({ id: 'b' }));
  platform.changed('job', 'a', 'removed');
  await until(() => model.jobs.length === 1);
  expect(model.problem).toBeNull();
});

test('another person’s job, of which admins hear, is not shown', async () => {
  await showing(job({ id: 'a' }));
  platform.get('jobs/b', job({ id: 'b', user: 'bo' }));
  platform.changed('job', 'b');
  await until(() => platform.said.includes('GET jobs/b'));
  await model.refresh();
  expect(model.byId('b')).toBeNull();
});

test('when one ends, those that wait are asked for their new place', async () => {
  await showing(
    job({ id: 'a', status: 'running' }),
    job({ id: 'b', status: 'queued', position: 2 })
  );
  platform.get('jobs/a', job({ id: 'a' }));
  platform.routes['GET jobs'] = ({ path }) => ({
    body: page(
      path.includes('status=queued') ? [job({ id: 'b', status: 'queued', position: 1 })] : []
    )
  });
  platform.changed('job', 'a');
  await until(() => model.byId('b')?.position === 1);
  expect(model.byId('a')?.status).toBe('succeeded');
});

test('many changes at once are one list', async () => {
  await showing(job({ id: 'a' }));
  for (let number = 0; number < 20; number++) {
    platform.changed('job', `n${String(number)}`, 'created');
  }
  await until(() => platform.calls.length > 0);
  await model.refresh();
  expect(platform.said.every(call => call.startsWith('GET jobs?'))).toBe(true);
});

test('a submitted job is there and chosen at once', async () => {
  platform.routes['POST jobs'] = () => ({
    status: 201,
    body: job({ id: 'new', status: 'queued' })
  });
  await model.submit({ name: 'report.ipynb', notebook: {} });
  expect(model.selected?.id).toBe('new');
  expect(platform.calls[0]?.body).toEqual({ name: 'report.ipynb', notebook: {} });
});

test('a refused job changes nothing and says why', async () => {
  platform.routes['POST jobs'] = () => problem(422, 'invalid', 'No such kernel.');
  await expect(model.submit({ notebook: {} })).rejects.toThrow('No such kernel.');
  expect(model.jobs).toEqual([]);
});

test('again, stop and delete go to their own addresses', async () => {
  await showing(job({ id: 'a' }));
  const [first] = model.jobs;
  if (first === undefined) {
    throw new Error('no job');
  }
  platform.routes['POST jobs/a/again'] = () => ({ body: job({ id: 'b', status: 'running' }) });
  platform.routes['POST jobs/b/stop'] = () => ({
    body: job({ id: 'b', status: 'running', target: 'stopped' })
  });
  platform.routes['DELETE jobs/a'] = () => ({ status: 204, body: null });
  const again = await model.again(first);
  await model.stop(again);
  expect(model.byId('b')?.target).toBe('stopped');
  await model.remove(first);
  expect(model.byId('a')).toBeNull();
});

test('a dataset that is gone is called by its id', async () => {
  platform.get('datasets/d-1', { name: 'flights' });
  expect(await model.datasetName('d-1')).toBe('flights');
  expect(await model.datasetName('d-2')).toBe('d-2');
});

test('this server is asked for by the name that URLs use', async () => {
  platform.get('servers/ada/-', { unsaved: null });
  expect(await model.server()).toEqual({ unsaved: null });
});
