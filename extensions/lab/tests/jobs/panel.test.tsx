// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Job } from '../../src/api';
import type { Events } from '../../src/events';
import { JobsModel } from '../../src/jobs/model';
import { JobsPanel } from '../../src/jobs/panel';
import { page, Platform, problem, until } from '../platform';
import { DIGEST, INFO, job } from '../things';

let platform: Platform;
let events: Events;
let model: JobsModel;
const opened: string[] = [];

beforeEach(async () => {
  opened.length = 0;
  platform = await Platform.start();
  events = platform.events();
  model = new JobsModel(platform.api, events, INFO);
});

afterEach(async () => {
  vi.useRealTimers();
  cleanup();
  model.dispose();
  events.dispose();
  await platform.stop();
});

async function showing(...jobs: Job[]): Promise<void> {
  platform.get('jobs', page(jobs));
  await shown();
}

async function shown(notebook: string | null = 'report.ipynb', of = model): Promise<void> {
  render(
    <JobsPanel
      model={of}
      events={events}
      actions={{
        openOutput: one => {
          opened.push(one.id);
          return Promise.resolve();
        },
        openForm: vi.fn(),
        openWide: vi.fn()
      }}
      notebook={{ name: () => notebook, run: vi.fn(), changed: new Signal({}) }}
    />
  );
  await model.refresh();
}

test('equal runs are told apart by when they ended', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-24T17:12:00Z') });
  const run = { parameters: { year: 2013 }, started_at: '2026-11-24T17:00:00Z' };
  await showing(
    job({ ...run, id: 'j-2', finished_at: '2026-11-24T17:10:00Z' }),
    job({ ...run, id: 'j-1', finished_at: '2026-11-24T17:05:00Z' })
  );
  await screen.findByTestId('atoll-job-j-2');
  const told = ['j-2', 'j-1'].map(id => {
    const row = within(screen.getByTestId(`atoll-job-${id}`)).getAllByRole('button')[0];
    const [, line, ended] = row?.title.split('\n') ?? [];
    expect(line).toBe('year=2013');
    expect(ended).toMatch(/^ended .*2026/);
    return [row?.querySelector('time')?.textContent, ended];
  });
  expect(told.map(([ago]) => ago)).toEqual(['2 min ago', '7 min ago']);
  expect(told[0]?.[1]).not.toBe(told[1]?.[1]);
});

test('a running job says its cell and how far it is, in words and as a bar', async () => {
  // The clock stands still: on a busy machine seconds go by until the row is there.
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-24T17:02:14Z') });
  await showing(
    job({ status: 'running', step: { cell: 12, cells: 22 }, started_at: '2026-11-24T17:00:00Z' })
  );
  const list = await screen.findByRole('list', { name: 'Running jobs' });
  expect(list.textContent).toContain('cell 12 of 22');
  expect(list.textContent).toContain('02:14');
  expect(within(list).getByRole('progressbar').getAttribute('aria-valuenow')).toBe('50');
});

test('a job that waits says where and why', async () => {
  await showing(job({ status: 'queued', position: 3, message: '2 ahead of you.' }));
  const list = await screen.findByRole('list', { name: 'Queued jobs' });
  expect(list.textContent).toContain('3rd in “default”; 2 ahead of you');
});

test('what is asked for is done: stop, again, the output', async () => {
  platform.routes['POST jobs/r/stop'] = () => ({
    status: 202,
    body: job({ id: 'r', status: 'running', target: 'stopped' })
  });
  platform.routes['POST jobs/f/again'] = () => ({ status: 201, body: job({ id: 'n' }) });
  await showing(
    job({ id: 'r', name: 'train.ipynb', status: 'running' }),
    job({ id: 'f', name: 'bad.ipynb', status: 'failed' }),
    job({ id: 'd', name: 'good.ipynb', started_at: '2026-11-24T17:00:00Z' })
  );
  fireEvent.click(await screen.findByRole('button', { name: 'Stop train.ipynb' }));
  await waitFor(() => expect(platform.said).toContain('POST jobs/r/stop'));
  expect(await screen.findByText('stopping…')).toBeTruthy();
  fireEvent.click(screen.getByRole('button', { name: 'Run bad.ipynb again' }));
  await waitFor(() => expect(platform.said).toContain('POST jobs/f/again'));
  fireEvent.click(screen.getByRole('button', { name: 'Open output of good.ipynb' }));
  await waitFor(() => expect(opened).toEqual(['d']));
});

test('what fails is told beside the list', async () => {
  platform.routes['POST jobs/r/stop'] = () => problem(503, 'unavailable', 'The platform rests.');
  await showing(job({ id: 'r', status: 'running' }));
  fireEvent.click(await screen.findByRole('button', { name: /^Stop/ }));
  expect((await screen.findByRole('alert')).textContent).toContain('The platform rests.');
});

test('a row opens to its log, its values, and what it ran in', async () => {
  platform.get('jobs/j-1/log', { text: 'hello from cell 1\n', next_offset: 18, complete: true });
  platform.get('datasets/d-1', { name: 'flights' });
  await showing(job({ parameters: { year: 2013, dry: true }, datasets: ['d-1'] }));
  const row = await screen.findByRole('button', { name: /done\. year=2013/ });
  fireEvent.click(row);
  expect(row.getAttribute('aria-expanded')).toBe('true');
  expect((await screen.findByRole('log')).textContent).toContain('hello from cell 1');
  fireEvent.click(screen.getByRole('tab', { name: 'Parameters' }));
  expect(screen.getByTestId('atoll-job-parameters').textContent).toBe('year2013dryTrue');
  fireEvent.click(screen.getByRole('tab', { name: 'About' }));
  const about = screen.getByTestId('atoll-job-about');
  await waitFor(() => expect(about.textContent).toContain('flights'));
  expect(about.querySelector('code')?.title).toBe(DIGEST);
});

test('up and down go from row to row', async () => {
  await showing(job({ id: 'a' }), job({ id: 'b' }));
  const rows = await screen.findAllByRole('button', { name: /report\.ipynb.*done/ });
  const [first, second] = rows;
  if (first === undefined) {
    throw new Error('no row');
  }
  first.focus();
  fireEvent.keyDown(first, { key: 'ArrowDown' });
  expect(document.activeElement).toBe(second);
});

test('a list of hundreds is shown in pieces', async () => {
  await showing(...Array.from({ length: 100 }, (_, at) => job({ id: `j${String(at)}` })));
  expect(await screen.findAllByTestId(/^atoll-job-j/)).toHaveLength(30);
  fireEvent.click(screen.getByRole('button', { name: 'Show 30 more' }));
  expect(screen.getAllByTestId(/^atoll-job-j/)).toHaveLength(60);
});

test('without jobs it says what one is and offers the first', async () => {
  await showing();
  expect(await screen.findByText('No jobs yet')).toBeTruthy();
  expect(screen.getByText('Run report.ipynb as a job')).toBeTruthy();
});

test('without a notebook it says where to begin', async () => {
  platform.get('jobs', page([]));
  await shown(null);
  expect(await screen.findByText(/choose “Run as job” in its toolbar/)).toBeTruthy();
});

test('while the platform is away it says so, and that jobs go on', async () => {
  events.connect();
  await until(() => platform.connections === 1);
  platform.routes['GET jobs'] = () => problem(503, 'unavailable', 'It rests.');
  platform.say({ type: 'disconnected', problem: { detail: 'It rests.', hint: 'Wait.' } });
  await shown();
  expect(await screen.findByText('No jobs can be shown now')).toBeTruthy();
  expect(screen.getByTestId('atoll-away').textContent).toContain('It rests. Wait.');
});

test('a server that is not Atoll’s says so', async () => {
  const outside = new JobsModel(platform.api, events, { ...INFO, present: false });
  await shown(null, outside);
  expect(screen.getByText('This server is not Atoll’s')).toBeTruthy();
});

test('that the server is stopped is said once, whichever is heard first', async () => {
  await showing(job({}));
  platform.routes['GET jobs'] = () => ({ status: 503, body: {} });
  platform.routes['GET info'] = () => ({ status: 424, body: {} });
  await model.refresh();
  expect(await screen.findByTestId('atoll-problem')).toBeTruthy();
  events.connect();
  await waitFor(() => expect(platform.connections).toBe(1));
  platform.drop();
  expect(await screen.findByTestId('atoll-stopped')).toBeTruthy();
  await waitFor(() => expect(screen.queryByTestId('atoll-problem')).toBeNull());
});
