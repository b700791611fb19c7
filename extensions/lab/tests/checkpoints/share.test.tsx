// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Checkpoint } from '../../src/api';
import { since } from '../../src/checkpoints/describe';
import { EnvironmentModel } from '../../src/checkpoints/model';
import { SharedWithMe, ShareForm, whom } from '../../src/checkpoints/share';
import type { Events } from '../../src/events';
import { page, Platform, problem } from '../platform';
import { checkpoint, INFO, server } from '../things';

const OTHER = `sha256:${'b'.repeat(64)}`;

let platform: Platform;
let events: Events;
let model: EnvironmentModel;

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new EnvironmentModel(platform.api, events, INFO);
  platform.get('servers/ada/-', server());
});

afterEach(async () => {
  cleanup();
  model.dispose();
  events.dispose();
  await platform.stop();
});

async function listed(...own: Checkpoint[]): Promise<void> {
  platform.get('checkpoints', page(own));
  await model.refresh();
}

async function form(...shared_with: string[]): Promise<HTMLElement> {
  await listed(checkpoint({ shared_with }));
  render(<ShareForm model={model} id="c-1" close={() => undefined} />);
  return screen.findByRole('form', { name: 'Share the environment' });
}

test('it is shared with whom one names, and the list follows', async () => {
  await form();
  expect(screen.getByText('Shared with nobody.')).toBeTruthy();
  const path = 'checkpoints/c-1/grants/group%3A%2Fmodelers%2Fof%20sea';
  platform.routes[`PUT ${path}`] = () => {
    const shared = checkpoint({ shared_with: ['group:/modelers/of sea'] });
    platform.get('checkpoints', page([shared]));
    return { body: shared };
  };
  fireEvent.change(screen.getByLabelText('Share with'), { target: { value: 'group' } });
  fireEvent.change(screen.getByLabelText('Group'), { target: { value: ' /modelers/of sea ' } });
  fireEvent.click(screen.getByRole('button', { name: 'Share' }));
  const list = await screen.findByRole('list', { name: 'Shared with' });
  expect(list.textContent).toContain('the group /modelers/of sea');
});

test('nobody is no name; everyone needs none', async () => {
  const shown = await form();
  const accept = within(shown).getByTestId<HTMLButtonElement>('atoll-form-accept');
  expect(accept.disabled).toBe(true);
  platform.routes['PUT checkpoints/c-1/grants/everyone'] = () => ({ body: checkpoint() });
  fireEvent.change(screen.getByLabelText('Share with'), { target: { value: 'everyone' } });
  fireEvent.click(accept);
  await waitFor(() => expect(platform.said).toContain('PUT checkpoints/c-1/grants/everyone'));
});

test('it is taken back', async () => {
  await form('user:bob', 'everyone');
  expect(screen.getAllByRole('listitem').at(0)?.textContent).toContain('bob');
  platform.routes['DELETE checkpoints/c-1/grants/user%3Abob'] = () => {
    platform.get('checkpoints', page([checkpoint({ shared_with: ['everyone'] })]));
    return { status: 204, body: null };
  };
  screen.getByRole('button', { name: 'Take it back from bob' }).click();
  await waitFor(() => expect(screen.getAllByRole('listitem')).toHaveLength(1));
  expect(screen.getByRole('listitem').textContent).toContain('everyone');
});

test('a refusal stays in the form', async () => {
  await form();
  platform.routes['PUT checkpoints/c-1/grants/user%3Abob'] = () =>
    problem(409, 'conflict', 'It seems to hold secrets (.netrc).');
  fireEvent.change(screen.getByLabelText('User name'), { target: { value: 'bob' } });
  fireEvent.click(screen.getByRole('button', { name: 'Share' }));
  expect((await screen.findByRole('alert')).textContent).toContain('.netrc');
});

test('what others share is listed with whose it is, and nothing of one’s own', async () => {
  await listed(checkpoint(), checkpoint({ id: 'c-2', user: 'bob', note: 'with torch' }));
  render(<SharedWithMe model={model} />);
  const section = await screen.findByTestId('atoll-shared');
  expect(section.textContent).toContain('bob');
  expect(section.textContent).toContain('with torch');
  expect(within(section).getAllByRole('listitem')).toHaveLength(1);
});

test('a server that began with another’s environment says whose, until it is saved', async () => {
  const lent = checkpoint({ id: 'c-2', user: 'bob', digest: OTHER });
  platform.get('servers/ada/-', server({ environment: OTHER }));
  await listed(lent);
  expect(model.lentBy).toBe('bob');
  expect(since(model, new Date())).toBe('over bob’s environment');
  const { rerender } = render(<SharedWithMe model={model} />);
  const section = await screen.findByTestId('atoll-shared');
  expect(section.textContent).toContain('Your server began with it');
  platform.get('servers/ada/-', server({ saved_at: '2026-11-24T18:00:00Z' }));
  await listed(checkpoint(), lent);
  expect(model.lentBy).toBeNull();
  rerender(<SharedWithMe model={model} />);
  expect(screen.getByTestId('atoll-shared').textContent).not.toContain('began with it');
});

test('users, groups and everyone in words', () => {
  expect(['user:a:b', 'group:x', 'everyone'].map(whom)).toEqual(['a:b', 'the group x', 'everyone']);
});
