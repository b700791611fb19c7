// @vitest-environment jsdom
import { Signal } from '@lumino/signaling';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { DatasetDetails } from '../../src/datasets/details';
import { DatasetsModel } from '../../src/datasets/model';
import type { Events } from '../../src/events';
import { Platform } from '../platform';
import { dataset, INFO } from '../things';

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
  const notebooks = { obstacle: () => null, insert: vi.fn(), changed: new Signal({}) };
  render(<DatasetDetails model={model} dataset={dataset()} notebooks={notebooks} />);
  fireEvent.click(screen.getByRole('tab', { name: 'Sample' }));
  const said = (await screen.findByText(/The first 1 of 10,000/)).textContent;
  expect(said.includes('fewer are kept')).toBe(cut);
});
