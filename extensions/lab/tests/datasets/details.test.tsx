// @vitest-environment jsdom
import { Signal } from '@lumino/signaling';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { DatasetDetails } from '../../src/datasets/details';
import { DatasetsModel } from '../../src/datasets/model';
import type { Events } from '../../src/events';
import { Platform } from '../platform';
import { dataset, INFO } from '../things';

const notebooks = { obstacle: () => null, insert: vi.fn(), changed: new Signal({}) };

let platform: Platform;
let events: Events;
let model: DatasetsModel;

beforeEach(async () => {
  platform = await Platform.start();
  events = platform.events();
  model = new DatasetsModel(platform.api, events, INFO);
});

afterEach(async () => {
  cleanup();
  model.dispose();
  events.dispose();
  await platform.stop();
});

test.each([true, false])('a preview says whether rows were left out: %s', async cut => {
  platform.get('datasets/d-1/preview', { columns: [], rows: [[1]], sampled: 10_000, cut });
  render(<DatasetDetails model={model} dataset={dataset()} notebooks={notebooks} />);
  fireEvent.click(screen.getByRole('tab', { name: 'Sample' }));
  const said = (await screen.findByText(/The first 1 of 10,000/)).textContent;
  expect(said.includes('fewer are kept')).toBe(cut);
});

test('what cannot be read says why, and its owner can do something about it on the spot', async () => {
  platform.routes['POST datasets/d-1/probe'] = () => ({ status: 202, body: dataset() });
  const failed = dataset({ owner: 'ada', status: 'failed', message: 'Line 3 has 3 fields.' });
  render(<DatasetDetails model={model} dataset={failed} notebooks={notebooks} />);
  expect(screen.getByRole('alert').textContent).toContain('Line 3 has 3 fields.');
  expect(screen.getByRole('button', { name: 'Change…' })).toBeTruthy();
  fireEvent.click(screen.getByRole('button', { name: 'Look again' }));
  await waitFor(() => expect(platform.said).toContain('POST datasets/d-1/probe'));
});

test('of what is another’s one can only see that it is away', () => {
  const stale = dataset({ owner: 'bo', status: 'stale', message: 'The folder is gone.' });
  render(<DatasetDetails model={model} dataset={stale} notebooks={notebooks} />);
  expect(screen.getByRole('alert').textContent).toContain('The folder is gone.');
  expect(screen.queryByRole('button', { name: 'Change…' })).toBeNull();
});
