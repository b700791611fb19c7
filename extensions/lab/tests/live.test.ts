import { afterEach, beforeEach, expect, test } from 'vitest';

import { ProblemError } from '../src/api';
import type { Event, Events } from '../src/events';
import { LiveModel } from '../src/live';
import { Platform, until } from './platform';

class Model extends LiveModel {
  readonly loads: (readonly Event[] | null)[] = [];
  finish: (() => void)[] = [];
  failing = false;

  protected override async load(events: readonly Event[] | null): Promise<void> {
    this.loads.push(events);
    await new Promise<void>(resolve => this.finish.push(resolve));
    if (this.failing) {
      throw new ProblemError({
        type: '',
        status: 500,
        code: 'x',
        title: 'x',
        detail: 'No.',
        hint: null
      });
    }
  }

  protected override concerns(event: Event): boolean {
    return event.kind === 'job';
  }

  /** Let the load that waits come to its end. */
  async end(): Promise<void> {
    await until(() => this.finish.length > 0, 'a load');
    this.finish.shift()?.();
  }
}

let platform: Platform;
let events: Events;
let model: Model;

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new Model(platform.api, events);
  events.connect();
  await until(() => platform.connections === 1);
});

afterEach(async () => {
  model.dispose();
  events.dispose();
  await platform.stop();
});

test('nothing is loaded before anybody looks', async () => {
  platform.say({ type: 'connected', problem: null });
  await until(() => events.state === 'connected');
  expect(model.loads).toEqual([]);
  model.start();
  await until(() => model.loads.length === 1);
  expect(model.loads).toEqual([null]);
});

test('calls meanwhile lead to one more load, and wait for it', async () => {
  const first = model.refresh();
  await until(() => model.loads.length === 1);
  let waited = false;
  const second = model.refresh().then(() => {
    waited = true;
  });
  const third = model.refresh();
  await model.end();
  await first;
  expect(waited).toBe(false);
  await model.end();
  await Promise.all([second, third]);
  expect(model.loads).toHaveLength(2);
});

test('a burst of events is one load that knows them', async () => {
  model.start();
  platform.say({ type: 'connected', problem: null });
  await model.end();
  await until(() => model.loaded);
  platform.changed('job', 'j-1');
  platform.changed('dataset', 'd-1');
  platform.changed('job', 'j-2');
  await until(() => model.loads.length === 2);
  expect(model.loads[1]?.map(event => event.subject)).toEqual(['j-1', 'j-2']);
});

test('after a load that failed everything is loaded, and the reason is kept till then', async () => {
  model.failing = true;
  const first = model.refresh();
  await model.end();
  await first;
  expect(model.problem?.detail).toBe('No.');
  expect(model.loaded).toBe(true);
  model.failing = false;
  model.start();
  platform.changed('job', 'j-1');
  await until(() => model.loads.length === 2);
  expect(model.loads[1]).toBeNull();
  await model.end();
  await until(() => model.problem === null);
});

test('a model that is gone loads nothing more', async () => {
  model.start();
  model.dispose();
  platform.changed('job', 'j-1');
  await model.refresh();
  expect(model.loads).toEqual([]);
});
