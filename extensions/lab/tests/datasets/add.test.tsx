// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { AddForm, GrantForm } from '../../src/datasets/add';
import { ChangeForm } from '../../src/datasets/change';
import { DatasetsModel } from '../../src/datasets/model';
import type { Events } from '../../src/events';
import { page, Platform, problem } from '../platform';
import { dataset, INFO } from '../things';

let platform: Platform;
let events: Events;
let model: DatasetsModel;
let closed: number;

beforeEach(async () => {
  platform = await Platform.start();
  platform.get('me', { admin: false, groups: [] });
  platform.get('datasets', page([]));
  events = platform.events();
  model = new DatasetsModel(platform.api, events, INFO);
  closed = 0;
});

afterEach(async () => {
  cleanup();
  model.dispose();
  events.dispose();
  await platform.stop();
});

function type(label: RegExp, text: string): void {
  fireEvent.change(screen.getByLabelText(label), { target: { value: text } });
}

function sent(method: string): unknown {
  return platform.calls.find(call => call.method === method)?.body;
}

test('a dataset is registered as it was written, for its owner alone', async () => {
  platform.routes['POST datasets'] = () => ({ status: 201, body: dataset() });
  render(<AddForm model={model} close={() => closed++} />);
  type(/^Name/, ' flights ');
  type(/^Path/, '/data/flights.csv');
  fireEvent.submit(screen.getByRole('form'));
  await waitFor(() => expect(closed).toBe(1));
  expect(sent('POST')).toEqual({
    name: 'flights',
    location: { path: '/data/flights.csv' },
    description: '',
    grants: [],
    platform: false
  });
});

test('people and groups are named as one thinks of them', async () => {
  platform.routes['POST datasets'] = () => ({ status: 201, body: dataset() });
  render(<AddForm model={model} close={() => closed++} />);
  type(/^Name/, 'orders');
  type(/^Path/, '/data/shop.db');
  type(/^Table/, 'orders');
  type(/^Who may use it/, 'named');
  type(/^People and groups/, 'bo, group:sales,,user:cy');
  fireEvent.submit(screen.getByRole('form'));
  await waitFor(() => expect(closed).toBe(1));
  expect(sent('POST')).toMatchObject({
    location: { path: '/data/shop.db', table: 'orders' },
    grants: ['user:bo', 'group:sales', 'user:cy']
  });
});

test('how it is read is said at once, and what is no option is told of', async () => {
  platform.routes['POST datasets'] = () => ({ status: 201, body: dataset() });
  render(<AddForm model={model} close={() => closed++} />);
  type(/^Name/, 'odd');
  type(/^Path/, '/data/odd');
  type(/^Format/, 'csv');
  type(/^Options/, 'latin-1');
  expect(screen.getByText(/“latin-1” is no option/)).toBeTruthy();
  expect(screen.getByTestId<HTMLButtonElement>('atoll-form-accept').disabled).toBe(true);
  type(/^Options/, 'encoding=latin-1');
  fireEvent.submit(screen.getByRole('form'));
  await waitFor(() => expect(closed).toBe(1));
  expect(sent('POST')).toMatchObject({
    location: { path: '/data/odd', options: { encoding: 'latin-1' } },
    format: 'csv'
  });
});

test('a dataset that could not be read is changed as its message says', async () => {
  platform.routes['PATCH datasets/d-1'] = () => ({ body: dataset() });
  const location = { path: '/data/odd', table: null, options: { delimiter: ';' } };
  const failed = dataset({
    status: 'failed',
    message: 'Say its encoding.',
    format: null,
    location
  });
  render(<ChangeForm model={model} dataset={failed} close={() => closed++} />);
  expect(screen.getByText('Say its encoding.')).toBeTruthy();
  expect(screen.getByLabelText<HTMLInputElement>(/^Path/).value).toBe('/data/odd');
  type(/^Format/, 'csv');
  type(/^Options/, 'delimiter=;\nencoding=latin-1');
  fireEvent.submit(screen.getByRole('form'));
  await waitFor(() => expect(closed).toBe(1));
  expect(sent('PATCH')).toEqual({
    location: { path: '/data/odd', options: { delimiter: ';', encoding: 'latin-1' } },
    format: 'csv'
  });
});

test('a refused location stays in the form with what to do', async () => {
  platform.routes['POST datasets'] = () =>
    problem(422, 'forbidden_location', 'It lies outside.', 'Allowed is /data.');
  render(<AddForm model={model} close={() => closed++} />);
  fireEvent.submit(screen.getByRole('form'));
  expect((await screen.findByRole('alert')).textContent).toContain('Allowed is /data.');
  expect(closed).toBe(0);
});

test('only admins may give a dataset to the platform', async () => {
  platform.get('me', { admin: true, groups: [] });
  render(<AddForm model={model} close={() => closed++} />);
  expect(await screen.findByLabelText(/belongs to the platform/)).toBeTruthy();
});

test('who may use it begins with who may, and replaces them', async () => {
  platform.routes['PUT datasets/d-1/grants'] = () => ({ body: dataset() });
  render(
    <GrantForm model={model} dataset={dataset({ grants: ['user:bo'] })} close={() => closed++} />
  );
  expect(screen.getByLabelText<HTMLInputElement>(/^People and groups/).value).toBe('user:bo');
  type(/^Who may use it/, 'everyone');
  fireEvent.submit(screen.getByRole('form'));
  await waitFor(() => expect(closed).toBe(1));
  expect(sent('PUT')).toEqual({ grants: ['everyone'] });
});
