// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Checkpoint, Server } from '../../src/api';
import { EnvironmentModel } from '../../src/checkpoints/model';
import { EnvironmentPanel } from '../../src/checkpoints/panel';
import type { Events } from '../../src/events';
import { page, Platform, problem } from '../platform';
import { changed, checkpoint, INFO, server } from '../things';

let platform: Platform;
let events: Events;
let model: EnvironmentModel;
const goBack = vi.fn(() => Promise.resolve());
const startFresh = vi.fn(() => Promise.resolve());

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new EnvironmentModel(platform.api, events, INFO);
});

afterEach(async () => {
  cleanup();
  model.dispose();
  events.dispose();
  await platform.stop();
});

async function shown(one: Server, ...checkpoints: Checkpoint[]): Promise<void> {
  platform.get('servers/ada/-', one);
  platform.get('checkpoints', page(checkpoints));
  render(
    <EnvironmentPanel model={model} events={events} {...{ goBack, startFresh }} write={vi.fn()} />
  );
  await model.refresh();
}

const UNSAVED = {
  packages: [changed('polars', null, '2.1.0')],
  directories: [],
  files: 1,
  size: 1
};

test('what is not saved is named, package by package', async () => {
  await shown(server({ unsaved: UNSAVED }));
  expect((await screen.findByTestId('atoll-unsaved')).textContent).toContain(
    '1 change over the base'
  );
  expect(screen.getByTestId('atoll-changes').textContent).toContain('added polars 2.1.0');
});

test('what lies in the home instead is named as not part of it', async () => {
  const names = ['altair', 'black', 'polars', 'ruff', 'shap', 'xgboost'];
  platform.routes['GET home'] = () => ({
    body: {
      packages: names.map(name => ({ name, version: '1.0' })),
      package_count: 6,
      environments: [{ path: 'shells/.venv', kind: 'venv' }],
      complete: true
    }
  });
  await shown(server());
  const note = await screen.findByTestId('atoll-elsewhere');
  expect(note.textContent).toContain(
    '6 packages lie in your home, not in this environment: altair 1.0, black 1.0, polars 1.0, ruff 1.0, shap 1.0 and 1 more.'
  );
  expect(note.textContent).toContain('1 environment lies in your home: ~/shells/.venv.');
  expect(note.textContent).toContain('They are in no checkpoint');
});

test('of a home with nothing in it, and of one that nobody can look at, nothing is said', async () => {
  await shown(server()); // there is no such route
  expect(await screen.findByTestId('atoll-unsaved')).toBeTruthy();
  expect(screen.queryByTestId('atoll-elsewhere')).toBeNull();
  platform.routes['GET home'] = () => ({
    body: { packages: [], package_count: 0, environments: [], complete: true }
  });
  await model.refresh();
  expect(screen.queryByTestId('atoll-elsewhere')).toBeNull();
});

test('a platform that takes long to answer is waited for in words, until it has answered', async () => {
  let answer = (): void => undefined;
  platform.routes['GET servers/ada/-'] = () =>
    new Promise(resolve => {
      answer = () => {
        resolve({ body: server() });
      };
    });
  platform.get('checkpoints', page([]));
  render(
    <EnvironmentPanel model={model} events={events} {...{ goBack, startFresh }} write={vi.fn()} />
  );
  expect(screen.queryByTestId('atoll-slow')).toBeNull();
  const loaded = model.refresh();
  expect((await screen.findByTestId('atoll-slow')).textContent).toContain(
    'Waiting for the platform'
  );
  answer();
  await loaded;
  await waitFor(() => {
    expect(screen.queryByTestId('atoll-slow')).toBeNull();
  });
});

test('what was saved by itself says so, and one that failed is no alarm', async () => {
  const saved = new Date(Date.now() - 12 * 60_000).toISOString();
  const tried = new Date(Date.now() - 60_000).toISOString();
  const message = 'Not saved: The registry is away.';
  await shown(
    server({ saved_at: saved, unsaved: UNSAVED }),
    checkpoint({ id: 'c-2', trigger: 'automatic', status: 'failed', created_at: tried, message }),
    checkpoint({ trigger: 'automatic', current: true, created_at: saved })
  );
  expect((await screen.findByTestId('atoll-by-itself')).textContent).toBe(
    'Saved by itself 12 min ago.'
  );
  expect(screen.getByTestId('atoll-missed').textContent).toBe(
    'Not saved by itself 1 min ago: The registry is away. It is tried again.'
  );
  expect(screen.queryByTestId('atoll-not-saved')).toBeNull();
  expect(screen.queryByRole('alert')).toBeNull();
  expect(screen.getByTestId('atoll-checkpoint-c-1').textContent).toContain('by itself');
});

test('one that nobody asked for and nobody has begun is not in the way', async () => {
  await shown(
    server({ unsaved: UNSAVED }),
    checkpoint({ id: 'c-2', trigger: 'automatic', status: 'requested', digest: null })
  );
  expect(await screen.findByTestId('atoll-save')).toBeTruthy();
  expect(screen.queryByTestId('atoll-saving')).toBeNull();
  expect(screen.queryByTestId('atoll-checkpoint-c-2')).toBeNull();
});

test('saving takes the note along', async () => {
  platform.routes['POST checkpoints'] = () => ({ status: 202, body: checkpoint() });
  await shown(server({ unsaved: UNSAVED }));
  fireEvent.change(await screen.findByLabelText(/^Note/), { target: { value: 'good ' } });
  fireEvent.click(screen.getByRole('button', { name: 'Save now' }));
  await waitFor(() =>
    expect(platform.calls.find(call => call.method === 'POST')?.body).toEqual({
      server: '-',
      note: 'good'
    })
  );
});

test('a save of nothing new says so', async () => {
  const current = checkpoint({ current: true });
  platform.routes['POST checkpoints'] = () => ({ status: 202, body: current });
  await shown(server({ saved_at: current.created_at }), current);
  fireEvent.click(await screen.findByRole('button', { name: 'Save now' }));
  expect((await screen.findByTestId('atoll-nothing-new')).textContent).toContain('Nothing changed');
});

test('a save of nothing new that gives it a name is one', async () => {
  const current = checkpoint({ current: true });
  await shown(server({ saved_at: current.created_at }), current);
  platform.routes['POST checkpoints'] = () => {
    const named = { ...current, note: 'good' };
    platform.get('checkpoints', page([named]));
    return { status: 202, body: named };
  };
  expect(await model.save('good')).toBe(true);
  expect(await model.save('good')).toBe(false);
});

test('a save that begins says nothing of that', async () => {
  const begun = checkpoint({ id: 'c-2', status: 'requested', digest: null });
  await shown(server(), checkpoint({ current: true }));
  platform.routes['POST checkpoints'] = () => {
    platform.get('checkpoints', page([begun]));
    return { status: 202, body: begun };
  };
  expect(await model.save('')).toBe(true);
});

test('a save that cannot be is told, and the note stays', async () => {
  platform.routes['POST checkpoints'] = () => problem(409, 'busy', 'It is being stopped.');
  await shown(server({ unsaved: UNSAVED }));
  const note = await screen.findByLabelText<HTMLInputElement>(/^Note/);
  fireEvent.change(note, { target: { value: 'good' } });
  fireEvent.click(screen.getByRole('button', { name: 'Save now' }));
  expect((await screen.findByRole('alert')).textContent).toContain('It is being stopped.');
  expect(note.value).toBe('good');
});

test('a save says how far it is', async () => {
  await shown(
    server(),
    checkpoint({ status: 'copying', progress: { done: 22_000_000, total: 52_000_000 } })
  );
  expect((await screen.findByTestId('atoll-saving')).textContent).toContain('22 MB of 52 MB');
  expect(screen.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('42');
});

test('what holds a save up is told, and a line of others is no trouble', async () => {
  const message = 'Not saved yet: the registry is away.';
  const held = { status: 'scanning', reason: 'held_up', message } as const;
  await shown(server({ unsaved: UNSAVED }), checkpoint(held));
  expect((await screen.findByTestId('atoll-held-up')).textContent).toContain(message);
  platform.get('checkpoints', page([checkpoint({ ...held, reason: 'node_busy' })]));
  await model.refresh();
  await waitFor(() => {
    expect(screen.queryByTestId('atoll-held-up')).toBeNull();
  });
});

test('a failed save says that nothing is lost', async () => {
  await shown(server(), checkpoint({ status: 'failed', message: 'The disk is full.' }));
  const told = await screen.findByTestId('atoll-not-saved');
  expect(told.textContent).toContain('The disk is full.');
  expect(told.textContent).toContain('Nothing is lost');
});

test('a choice to go back can be taken back', async () => {
  platform.routes['DELETE servers/ada/-/continuation'] = () => ({ status: 204, body: null });
  const other = `sha256:${'0'.repeat(64)}`;
  await shown(server({ continues_from: other }), checkpoint({ digest: other, note: 'old' }));
  expect((await screen.findByTestId('atoll-chosen')).textContent).toContain('“old”');
  fireEvent.click(screen.getByRole('button', { name: 'Undo' }));
  await waitFor(() => expect(platform.said).toContain('DELETE servers/ada/-/continuation'));
});

test('what can still be gone back to when a checkpoint is opened: its digest and changes', async () => {
  platform.get('checkpoints/c-1/changes', UNSAVED);
  await shown(server(), checkpoint({ note: 'before upgrade' }));
  const row = await screen.findByRole('button', { name: /before upgrade.*/, expanded: false });
  fireEvent.click(row);
  expect(await screen.findByText('polars')).toBeTruthy();
  expect(screen.getByText('Digest')).toBeTruthy();
  expect(screen.getByRole('button', { name: 'Copy the digest' })).toBeTruthy();
});

test('an opened checkpoint can be gone back to, the current one only when something changed', async () => {
  platform.get('checkpoints/c-1/changes', UNSAVED);
  platform.get('checkpoints/c-2/changes', UNSAVED);
  const now = checkpoint({ id: 'c-2', note: 'now', current: true });
  await shown(server(), now, checkpoint({ note: 'before', current: false }));
  fireEvent.click(await screen.findByRole('button', { name: /now/, expanded: false }));
  expect(screen.queryByTestId('atoll-go-back')).toBeNull();
  fireEvent.click(screen.getByRole('button', { name: /before/, expanded: false }));
  fireEvent.click(screen.getByTestId('atoll-go-back'));
  expect(goBack).toHaveBeenCalledWith(expect.objectContaining({ id: 'c-1' }));
});

test('the base offers the fresh start', async () => {
  await shown(server({ base_name: 'Python 3.11' }));
  fireEvent.click(await screen.findByRole('button', { name: /base Python 3.11/ }));
  fireEvent.click(screen.getByTestId('atoll-start-fresh'));
  expect(startFresh).toHaveBeenCalled();
});

test('a stopped server is told with the way to its start', async () => {
  platform.routes['GET info'] = () => ({ status: 424, body: {} });
  await shown(server());
  events.connect();
  await waitFor(() => expect(platform.connections).toBe(1));
  platform.drop();
  expect((await screen.findByTestId('atoll-stopped')).textContent).toContain('jobs go on');
  const link = screen.getByRole('link', { name: 'Start it again' });
  expect(link.getAttribute('href')).toBe('/hub/spawn/ada');
});

test('of a stopped server nothing is said to be unsaved, and nothing can be saved', async () => {
  await shown(server({ unsaved: UNSAVED }), checkpoint({ current: true }));
  expect(await screen.findByTestId('atoll-save')).toBeTruthy();
  platform.routes['GET info'] = () => ({ status: 424, body: {} });
  events.connect();
  await waitFor(() => expect(platform.connections).toBe(1));
  platform.drop();
  expect(await screen.findByText('Stopping saves your environment')).toBeTruthy();
  for (const gone of ['atoll-unsaved', 'atoll-save', 'atoll-saved']) {
    expect(screen.queryByTestId(gone)).toBeNull();
  }
});

test('what is too old to start says so, and leads to its rebase', async () => {
  const old = checkpoint({ too_old: 'It was made with version 0.1.', platform_version: '0.1.0' });
  platform.routes['POST checkpoints/c-1/rebase'] = () => ({ body: checkpoint({ id: 'c-2' }) });
  await shown(server(), old);
  const row = await screen.findByTestId('atoll-checkpoint-c-1');
  expect(row.textContent).toContain('too old to start');
  fireEvent.click(within(row).getAllByRole('button')[0] ?? row);
  expect(screen.getByTestId('atoll-too-old').textContent).toContain('made with version 0.1');
  expect(screen.queryByTestId('atoll-go-back')).toBeNull();
  expect(screen.getByTestId('atoll-rebase').textContent).toBe('Rebase…');
  await model.rebase(old);
  expect(platform.said).toContain('POST checkpoints/c-1/rebase');
});

test('a rebase that goes on is no save of this server, and can be cancelled', async () => {
  const going = checkpoint({
    id: 'c-2',
    trigger: 'rebase',
    status: 'copying',
    message: 'Packages are being installed: step 2 of 5.'
  });
  platform.routes['POST checkpoints/c-2/cancel'] = () => ({ body: going });
  await shown(server(), going, checkpoint());
  expect(model.saving).toBeNull();
  const row = await screen.findByTestId('atoll-checkpoint-c-2');
  fireEvent.click(within(row).getAllByRole('button')[0] ?? row);
  expect(screen.getByTestId('atoll-rebasing').textContent).toContain('step 2 of 5');
  fireEvent.click(screen.getByTestId('atoll-rebase-cancel'));
  await waitFor(() => {
    expect(platform.said).toContain('POST checkpoints/c-2/cancel');
  });
});

test('a stop that the server went on without is no save of this one, and says what it waits for', async () => {
  const message = 'The agent of its node node-1 does not answer.';
  const waits = { id: 'c-2', left: true, note: 'left on node-1', message } as const;
  await shown(server(), checkpoint({ ...waits, status: 'requested', digest: null }), checkpoint());
  expect(model.saving).toBeNull();
  expect(model.heldUp).toBeNull();
  const row = await screen.findByTestId('atoll-checkpoint-c-2');
  fireEvent.click(within(row).getAllByRole('button')[0] ?? row);
  expect(screen.getByTestId('atoll-left').textContent).toContain(message);
  expect(screen.getByTestId('atoll-left-give-up')).toBeTruthy();
});

test('a rebase that could not bring everything over says so', async () => {
  const message = '1 of 3 packages are not in it as they were: conch.';
  const left = [{ path: 'conch 1.0', reason: 'No matching distribution found' }];
  await shown(
    server(),
    checkpoint({ trigger: 'rebase', reason: 'incomplete', message, left_out: left })
  );
  const row = await screen.findByTestId('atoll-checkpoint-c-1');
  fireEvent.click(within(row).getAllByRole('button')[0] ?? row);
  expect(row.textContent).toContain(message);
  expect(row.textContent).toContain('No matching distribution found');
});
