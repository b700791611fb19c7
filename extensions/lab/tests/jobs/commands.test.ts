// @vitest-environment jsdom
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';
import { beforeEach, expect, test, vi } from 'vitest';

import type { Problem } from '../../src/api';
import { ask } from '../../src/connectionlost';
import type { State } from '../../src/events';
import { addRunCommands, CommandIDs } from '../../src/jobs/commands';
import type { JobsModel } from '../../src/jobs/model';
import type { Notebooks } from '../../src/jobs/notebooks';

vi.mock('../../src/connectionlost', () => ({ ask: vi.fn() }));

const SOURCE = { name: 'report.ipynb' };
const STOPPED: Problem = {
  type: 'about:blank',
  status: 424,
  code: 'server_stopped',
  title: 'Your server is stopped',
  detail: 'Your server is stopped.',
  hint: 'Start it again.'
};

let commands: CommandRegistry;
const current = vi.fn(() => Promise.resolve(SOURCE));
const openForm = vi.fn();

beforeEach(() => {
  commands = new CommandRegistry();
  current.mockClear();
  openForm.mockClear();
});

function added(events: { state: State; problem: Problem | null }): void {
  addRunCommands({ commands } as unknown as JupyterFrontEnd, {
    model: { present: true } as unknown as JobsModel,
    events: { ...events, startPage: '/hub/spawn/ada' },
    notebooks: { current, currentName: 'report.ipynb' } as unknown as Notebooks,
    actions: { openForm, openOutput: vi.fn(), openWide: vi.fn() },
    browsers: null
  });
}

test('the form opens with the notebook as it was saved', async () => {
  added({ state: 'connected', problem: null });
  await commands.execute(CommandIDs.run);
  expect(openForm).toHaveBeenCalledWith(SOURCE);
});

test('with a stopped server nothing is saved first, and why is told', async () => {
  added({ state: 'stopped', problem: STOPPED });
  await commands.execute(CommandIDs.run);
  expect(current).not.toHaveBeenCalled();
  expect(openForm).not.toHaveBeenCalled();
  expect(ask).toHaveBeenCalledWith(STOPPED, '/hub/spawn/ada');
});
