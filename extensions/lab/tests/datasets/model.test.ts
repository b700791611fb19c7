import { afterEach, beforeEach, expect, test } from 'vitest';

import { DatasetsModel } from '../../src/datasets/model';
import type { Events } from '../../src/events';
import { page, Platform, problem, until } from '../platform';
import { dataset, INFO } from '../things';

let platform: Platform;
let events: Events;
let model: DatasetsModel;

const all = [
  dataset({ id: 'p', name: 'flights' }),
  dataset({ id: 'm', name: 'flights', owner: 'ada' }),
  dataset({ id: 's', name: 'xray', owner: 'bo', description: 'Images of hands' })
];

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new DatasetsModel(platform.api, events, INFO);
  platform.get('datasets', page(all));
  await model.refresh();
});

afterEach(async () => {
  model.dispose();
  events.dispose();
  await platform.stop();
});

test('datasets stand by whose they are', () => {
  const ids = model.groups('').map(([group, members]) => [group, members.map(one => one.id)]);
  expect(ids).toEqual([
    ['Platform', ['p']],
    ['Mine', ['m']],
    ['Shared', ['s']]
  ]);
});

test('the filter looks at names, owners and descriptions', () => {
  const found = (text: string): string[] =>
    model.groups(text).flatMap(([, members]) => members.map(one => one.id));
  expect(found('hands')).toEqual(['s']);
  expect(found('bo:')).toEqual(['s']);
  expect(found('FLIGHTS')).toEqual(['p', 'm']);
  expect(found('nothing of that')).toEqual([]);
});

test('code names the very dataset that is looked at', () => {
  const cell = (id: string): string => model.loadCell(model.byId(id) ?? dataset());
  expect(cell('m')).toContain('flights = atoll.dataset("flights").to_pandas()');
  expect(cell('p')).toContain('flights = atoll.dataset("p").to_pandas()'); // mine hides it
  expect(cell('s')).toContain('xray = atoll.dataset("bo:xray").to_pandas()');
});

test('an event loads the list anew', async () => {
  model.start();
  events.connect();
  await until(() => platform.connections === 1);
  platform.get('datasets', page([dataset({ id: 'n', name: 'new' })]));
  platform.changed('dataset', 'n', 'created');
  await until(() => model.byId('n') !== null);
});

test('what was loaded stays while the platform cannot be asked', async () => {
  platform.routes['GET datasets'] = () => problem(503, 'unavailable', 'The platform rests.');
  await model.refresh();
  expect(model.problem?.detail).toBe('The platform rests.');
  expect(model.datasets).toHaveLength(3);
});

test('the preview of one probe is fetched once, a failed one again', async () => {
  const [first] = all;
  if (first === undefined) {
    throw new Error('no dataset');
  }
  await expect(model.preview(first)).rejects.toThrow();
  platform.get('datasets/p/preview', { columns: [], rows: [[1]], sampled: 1 });
  await model.preview(first);
  await model.preview(first);
  expect(platform.said.filter(call => call.endsWith('preview'))).toHaveLength(2);
  await model.preview({ ...first, probed_at: '2026-11-25T00:00:00Z' });
  expect(platform.said.filter(call => call.endsWith('preview'))).toHaveLength(3);
});

test('what was added is chosen', async () => {
  platform.routes['POST datasets'] = () => ({ status: 201, body: dataset({ id: 's' }) });
  await model.add({ name: 'x', location: { path: '/data/x.csv' } });
  expect(model.selected?.id).toBe('s');
});

test('one may change one’s own, and admins all', async () => {
  platform.get('me', { admin: false, groups: [] });
  expect(await Promise.all(all.map(one => model.mayEdit(one)))).toEqual([false, true, false]);
});
