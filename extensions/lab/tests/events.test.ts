import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Event, Events } from '../src/events';
import { Platform, until } from './platform';

let platform: Platform;
let events: Events;
let reloads: number;
let heard: Event[];

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  reloads = 0;
  heard = [];
  events.reload.connect(() => {
    reloads++;
  });
  events.changed.connect((_, event) => {
    heard.push(event);
  });
  events.connect();
  await until(() => platform.connections === 1);
});

afterEach(async () => {
  events.dispose();
  await platform.stop();
});

test('a tab that hears that the platform is there loads everything once', async () => {
  platform.say({ type: 'connected', problem: null });
  await until(() => reloads === 1);
  expect(events.state).toBe('connected');
});

test('a platform that says nothing from the beginning is overdue until it speaks', async () => {
  await until(() => events.overdue.any);
  platform.say({ type: 'connected', problem: null });
  await until(() => !events.overdue.any);
});

test('an event names what to fetch anew', async () => {
  platform.changed('job', 'j-1');
  await until(() => heard.length === 1);
  expect(heard[0]).toMatchObject({ kind: 'job', subject: 'j-1', change: 'changed' });
});

test('while the platform is away its own words say why', async () => {
  platform.say({ type: 'connected', problem: null });
  platform.say({ type: 'disconnected', problem: { detail: 'It rests.', hint: null } });
  await until(() => events.state === 'away');
  expect(events.problem?.detail).toBe('It rests.');
  expect(reloads).toBe(1);
});

test('a platform that is away from the beginning still lets the panels show that', async () => {
  platform.say({ type: 'disconnected', problem: { detail: 'It rests.', hint: null } });
  await until(() => reloads === 1);
});

test('a lost connection is made again, and what was missed is loaded', async () => {
  platform.say({ type: 'connected', problem: null });
  await until(() => events.state === 'connected');
  platform.drop();
  await until(() => platform.connections === 2);
  platform.say({ type: 'connected', problem: null });
  await until(() => reloads === 2);
  expect(events.state).toBe('connected');
});

test('a server that was stopped is told as that, until it is back', async () => {
  platform.routes['GET info'] = () => ({ status: 424, body: { message: 'no longer running' } });
  platform.drop();
  await until(() => events.state === 'stopped');
  expect(events.silent).toBe(true);
  await until(() => platform.connections === 2);
  platform.say({ type: 'connected', problem: null });
  await until(() => events.state === 'connected');
});

test('a server that is there again before anyone knew why it was not is connected', async () => {
  platform.routes['GET info'] = () => new Promise(resolve => setTimeout(resolve, 30, { body: {} }));
  platform.drop();
  await until(() => platform.connections === 2);
  platform.say({ type: 'connected', problem: null });
  await new Promise(resolve => setTimeout(resolve, 60));
  expect(events.state).toBe('connected');
});

test('a stream with a gap makes everything load anew', async () => {
  platform.say({ type: 'reset' });
  await until(() => reloads === 1);
});

test('who closes the lab is not connected again', async () => {
  events.dispose();
  await platform.stop();
  expect(platform.connections).toBe(1);
  expect(events.isDisposed).toBe(true);
});
