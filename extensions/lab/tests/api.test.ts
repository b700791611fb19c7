import { afterEach, beforeEach, expect, test } from 'vitest';

import { asProblem, ProblemError, segment, startPage } from '../src/api';
import { page, Platform, problem } from './platform';
import { INFO } from './things';

let platform: Platform;

beforeEach(async () => {
  platform = await Platform.start();
});

afterEach(async () => {
  await platform.stop();
});

test('a list is read to its end, page by page', async () => {
  platform.routes['GET jobs'] = ({ path }) => ({
    body: path.includes('cursor=two') ? page([2]) : page([1], 'two')
  });
  expect(await platform.api.all('jobs', { status: 'queued' })).toEqual([1, 2]);
  expect(platform.said).toEqual([
    'GET jobs?status=queued&limit=200',
    'GET jobs?status=queued&limit=200&cursor=two'
  ]);
});

test('a list without an end is not read for ever', async () => {
  platform.get('jobs', page([1], 'on'));
  expect(await platform.api.all('jobs')).toHaveLength(5);
});

test('a problem keeps its words', async () => {
  platform.routes['POST jobs'] = () => problem(422, 'invalid', 'No kernel.', 'Choose one.');
  const error: unknown = await platform.api.post('jobs', {}).catch((why: unknown) => why);
  expect(error).toBeInstanceOf(ProblemError);
  expect(asProblem(error)).toMatchObject({
    status: 422,
    detail: 'No kernel.',
    hint: 'Choose one.'
  });
});

test('an answer that is no problem of ours still says what to do', async () => {
  platform.routes['GET me'] = () => ({ status: 403, type: 'text/html', body: '<html>' });
  const error: unknown = await platform.api.get('me').catch((why: unknown) => why);
  expect(asProblem(error)).toMatchObject({ status: 403, hint: 'Reload the page to log in again.' });
});

test('a refusal of the hub for a server that is stopped is told as stopped', async () => {
  platform.routes['POST jobs'] = () => ({ status: 403, type: 'text/html', body: '<html>' });
  platform.routes['GET info'] = () => ({ status: 424, type: 'text/html', body: '<html>' });
  const error: unknown = await platform.api.post('jobs', {}).catch((why: unknown) => why);
  expect(asProblem(error)).toMatchObject({ code: 'server_stopped' });
});

test('a refusal for a server that runs, or that says nothing, is told as it was', async () => {
  platform.routes['POST jobs'] = () => ({ status: 403, type: 'text/html', body: '<html>' });
  for (const status of [200, 403, 502]) {
    platform.routes['GET info'] = () => ({ status, body: {} });
    const error: unknown = await platform.api.post('jobs', {}).catch((why: unknown) => why);
    expect(asProblem(error)).toMatchObject({
      status: 403,
      hint: 'Reload the page to log in again.'
    });
  }
});

test('a refusal of the platform needs no second question', async () => {
  platform.routes['POST jobs'] = () => problem(403, 'forbidden', 'Not yours.');
  const error: unknown = await platform.api.post('jobs', {}).catch((why: unknown) => why);
  expect(asProblem(error)).toMatchObject({ code: 'forbidden' });
  expect(platform.said).toEqual(['POST jobs']);
});

test('a server that is gone is told as that', async () => {
  const { api } = platform;
  await platform.stop();
  const error: unknown = await api.get('me').catch((why: unknown) => why);
  expect(asProblem(error).code).toBe('server_away');
  platform = await Platform.start();
});

test.each([
  [424, { message: 'JupyterHub server no longer running at /user/ada/.' }, 'server_stopped'],
  [503, { message: 'JupyterHub server no longer running at /user/ada/.' }, 'server_stopped'],
  [424, '<html>Your server is not running.', 'server_stopped'],
  [503, '<html>Your server appears to be down.', 'server_away'],
  [503, { message: 'Something else' }, 'server_away'],
  [502, 'Bad gateway', 'server_away'],
  [418, 'A teapot', 'no_answer']
])('what the hub and its proxy say is told apart: %s %j', async (status, body, code) => {
  const type = typeof body === 'string' ? 'text/html' : 'application/json';
  platform.routes['GET me'] = () => ({ status, type, body });
  const error: unknown = await platform.api.get('me').catch((why: unknown) => why);
  expect(asProblem(error)).toMatchObject({ status, code });
});

test('the way back leads to this server’s own start page', () => {
  expect(startPage(INFO)).toBe('/hub/spawn/ada');
  expect(startPage({ ...INFO, user: 'j/ü', server: 'gpu' })).toBe('/hub/spawn/j%2F%C3%BC/gpu');
});

test('a name is one segment of a path, whatever it holds', () => {
  expect(segment('../a b/ü?#')).toBe('..%2Fa%20b%2F%C3%BC%3F%23');
});
