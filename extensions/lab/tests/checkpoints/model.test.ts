import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Checkpoint, Server } from '../../src/api';
import { EnvironmentModel } from '../../src/checkpoints/model';
import type { Events } from '../../src/events';
import { page, Platform, until } from '../platform';
import { changed, checkpoint, DIGEST, INFO, server } from '../things';

let platform: Platform;
let events: Events;
let model: EnvironmentModel;

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new EnvironmentModel(platform.api, events, { ...INFO, server: 'gpu' });
});

afterEach(async () => {
  model.dispose();
  events.dispose();
  await platform.stop();
});

async function holding(one: Server, ...checkpoints: Checkpoint[]): Promise<void> {
  platform.get('servers/ada/gpu', one);
  platform.get('checkpoints', page(checkpoints));
  await model.refresh();
}

const CHANGES = {
  packages: [changed('polars', null, '2.1.0')],
  directories: [{ path: '/opt/tools', files: 12, size: 3_100_000 }],
  files: 12,
  size: 3_100_000
};

test('only this server’s checkpoints are asked for', async () => {
  await holding(server());
  expect(platform.said).toContain('GET checkpoints?user=ada&server=gpu&limit=200');
});

test('packages and directories without one are what is unsaved', async () => {
  await holding(server({ unsaved: CHANGES }));
  expect(model.unsaved).toBe(2);
});

test('a checkpoint that is not finished is what is saved now', async () => {
  await holding(server(), checkpoint({ id: 'new', status: 'copying' }), checkpoint());
  expect(model.saving?.id).toBe('new');
});

test('a failed save is told until there is a good one', async () => {
  await holding(server(), checkpoint({ status: 'failed', message: 'The disk is full.' }));
  expect(model.failed?.message).toBe('The disk is full.');
  await holding(
    server({ saved_at: '2026-11-24T18:00:00Z' }),
    checkpoint({ status: 'failed', created_at: '2026-11-24T17:00:00Z' })
  );
  expect(model.failed).toBeNull();
});

test('what the next start goes back to is named where it differs', async () => {
  await holding(server({ continues_from: DIGEST }));
  expect(model.chosen).toBeNull();
  const other = `sha256:${'0'.repeat(64)}`;
  await holding(server({ continues_from: other }), checkpoint({ id: 'old', digest: other }));
  expect(model.chosen?.checkpoint?.id).toBe('old');
});

test('saving names this server and shows what became of it', async () => {
  await holding(server());
  platform.routes['POST checkpoints'] = () => ({ status: 202, body: checkpoint() });
  platform.get('checkpoints', page([checkpoint({ id: 'new', status: 'requested' })]));
  await model.save('before upgrade');
  expect(platform.calls.find(call => call.method === 'POST')?.body).toEqual({
    server: 'gpu',
    note: 'before upgrade'
  });
  expect(model.saving?.id).toBe('new');
});

test('events about servers and checkpoints are heard, others are not', async () => {
  await holding(server());
  events.connect();
  await until(() => platform.connections === 1);
  model.start();
  platform.changed('job', 'j-1');
  platform.get('checkpoints', page([checkpoint({ id: 'heard' })]));
  platform.changed('checkpoint', 'heard', 'created');
  await until(() => model.checkpoints.length === 1);
});
