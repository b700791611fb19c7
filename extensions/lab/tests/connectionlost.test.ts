// @vitest-environment jsdom
import { readFileSync } from 'node:fs';

import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Problem } from '../src/api';
import { Outage } from '../src/connectionlost';
import type { Events } from '../src/events';
import { Platform, until } from './platform';

let platform: Platform;
let events: Events;
let told: string[];
let panel: boolean;

beforeEach(async () => {
  platform = await Platform.start();
  platform.routes['GET info'] = () => ({ status: 424, body: {} });
  events = platform.events();
  events.connect();
  await until(() => platform.connections === 1);
  told = [];
  panel = false;
});

afterEach(async () => {
  events.dispose();
  await platform.stop();
});

function outage(): Outage {
  return new Outage(
    events,
    () => panel,
    ({ code }: Problem) => {
      told.push(code);
      return Promise.resolve();
    }
  );
}

/** The person's server is stopped. */
async function stopped(): Promise<void> {
  platform.drop();
  await until(() => events.state === 'stopped');
}

test('a stopped server is told once, however many requests fail', async () => {
  const lost = outage();
  await stopped();
  await lost.onFailure();
  await lost.onFailure();
  expect(told).toEqual(['server_stopped']);
});

test('it is told again when the server ran in between', async () => {
  const lost = outage();
  await stopped();
  await lost.onFailure();
  await until(() => platform.connections === 2); // the tab is back
  platform.say({ type: 'connected' });
  await until(() => events.state === 'connected');
  await stopped();
  await lost.onFailure();
  expect(told).toEqual(['server_stopped', 'server_stopped']);
});

test('what a panel says already is told by nothing else, also once that is closed', async () => {
  const lost = outage();
  await stopped();
  panel = true;
  await lost.onFailure();
  panel = false;
  await lost.onFailure();
  expect(told).toEqual([]);
});

test('a request that fails while the server is there is no outage', async () => {
  const lost = outage();
  platform.say({ type: 'connected' });
  await until(() => events.state === 'connected');
  await lost.onFailure();
  platform.say({ type: 'disconnected', problem: { code: 'service_away', detail: 'It restarts.' } });
  await until(() => events.state === 'away');
  await lost.onFailure();
  expect(told).toEqual([]);
});

test('a server that cannot be reached is told as that', async () => {
  platform.routes['GET info'] = () => ({ status: 502, body: '' });
  const lost = outage();
  platform.drop();
  await until(() => events.state === 'away');
  await lost.onFailure();
  expect(told).toEqual(['server_away']);
});

test('the hub’s own question is switched off', () => {
  const { jupyterlab } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    jupyterlab: { disabledExtensions: string[] };
  };
  expect(jupyterlab.disabledExtensions).toEqual(['@jupyterlab/hub-extension:connectionlost']);
});
