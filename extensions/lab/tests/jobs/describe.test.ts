import { describe, expect, test } from 'vitest';

import {
  failure,
  ordinal,
  share,
  step,
  timeLimit,
  values,
  waiting,
  words
} from '../../src/jobs/describe';
import { job } from '../things';

test.each([
  [
    job({ status: 'queued', position: 3, message: '2 ahead of you; the only place is in use.' }),
    '3rd in “default”; 2 ahead of you; the only place is in use'
  ],
  [
    job({ status: 'queued', position: 1, message: 'You are next.' }),
    '1st in “default”; you are next'
  ],
  [
    job({ status: 'queued', position: 2, message: 'GPU 1 is in use.' }),
    '2nd in “default”; GPU 1 is in use'
  ],
  [job({ status: 'queued', queue: 'gpu' }), 'in “gpu”'],
  [job({ status: 'starting', message: 'unpacking its environment' }), 'unpacking its environment'],
  [job({ status: 'running', step: { cell: 7, cells: 22 } }), 'cell 7 of 22'],
  [job({ status: 'running', target: 'stopped' }), 'stopping…'],
  [job({ status: 'stopped', target: 'stopped' }), 'stopped'],
  [
    job({ status: 'failed', failure: { cell: 4, name: 'KeyError', value: "'dest'\nmore" } }),
    "cell 4: KeyError 'dest'"
  ],
  [
    job({ status: 'failed', message: 'Its time limit of 2 h was over.' }),
    'Its time limit of 2 h was over.'
  ],
  [
    job({ status: 'failed', message: 'Its node is gone.', retried_by: 'j-2' }),
    'Its node is gone. · run again'
  ],
  [job({ parameters: { year: 2013, carrier: 'UA', all: true } }), 'year=2013, carrier=UA, all=true']
] as const)('a job in one line %#', (given, line) => {
  expect(words(given).line).toBe(line);
});

test('every status has a mark and a word for those who do not see it', () => {
  for (const status of [
    'queued',
    'admitted',
    'starting',
    'running',
    'failed',
    'stopped',
    'succeeded'
  ] as const) {
    const { mark, spoken } = words(job({ status }));
    expect(mark).not.toBe('');
    expect(spoken).not.toBe('');
  }
});

describe('how far', () => {
  test('the cell that runs is not counted as done', () => {
    expect(share(job({ step: { cell: 1, cells: 4 } }))).toBe(0);
    expect(share(job({ step: { cell: 4, cells: 4 } }))).toBe(0.75);
  });

  test('before the first cell nobody knows', () => {
    expect(share(job())).toBeNull();
    expect(step(job())).toBe('starting');
  });
});

test('a failure without any reason admits that', () => {
  expect(failure(job({ status: 'failed' }))).toBe('It failed, and no reason was given.');
  expect(failure(job({ failure: { cell: null, name: 'DeadKernelError', value: '' } }))).toBe(
    'DeadKernelError'
  );
});

test('ordinals', () => {
  expect([1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal)).toEqual([
    '1st',
    '2nd',
    '3rd',
    '4th',
    '11th',
    '12th',
    '13th',
    '21st',
    '102nd',
    '111th'
  ]);
});

test('time limits in their largest exact unit', () => {
  expect([45, 90, 5400, 7200, 86_400, 172_800].map(timeLimit)).toEqual([
    '45 s',
    '90 s',
    '90 min',
    '2 h',
    '1 day',
    '2 days'
  ]);
});

test('no parameters, no words; no position, no number', () => {
  expect(values({})).toBe('');
  expect(waiting(job({ status: 'queued' }))).toBe('in “default”');
});
