import { expect, test } from 'vitest';

import { duration, moment, percent, plural, relative, roughly, size } from '../../src/views/format';

const now = new Date(2026, 10, 24, 19, 0);
const at = (day: number, hour: number, minute = 0): Date => new Date(2026, 10, day, hour, minute);

test.each([
  [at(24, 19), 'just now'],
  [at(24, 18, 58), '2 min ago'],
  [at(24, 9), '10 h ago'],
  [at(23, 18, 42), 'yesterday 18:42'],
  [at(20, 9, 10), 'Fri 09:10'],
  [at(12, 9), '12 Nov 2026'],
  [at(24, 19, 5), 'just now']
])('%s is %s', (time, words) => {
  expect(relative(time, now)).toBe(words);
});

test('today, the hour says it', () => {
  expect(moment(at(24, 8, 5), now)).toBe('08:05');
  expect(moment(at(23, 8, 5), now)).toBe('yesterday 08:05');
});

test('after midnight the evening before is some hours ago', () => {
  expect(relative(at(23, 23, 30), at(24, 1, 30))).toBe('2 h ago');
});

test('sizes, durations, shares, counts', () => {
  expect([0, 999, 1000, 3_100_000, 312_000_000, 9_960_000].map(size)).toEqual([
    '0 bytes',
    '999 bytes',
    '1.0 kB',
    '3.1 MB',
    '312 MB',
    '10 MB'
  ]);
  expect([-5, 41_000, 134_000, 3_734_000].map(duration)).toEqual([
    '00:00',
    '00:41',
    '02:14',
    '1:02:14'
  ]);
  expect([0, 0.0001, 0.0245, 0.5].map(percent)).toEqual(['0 %', '<0.1 %', '2.5 %', '50 %']);
  expect([plural(1, 'file'), plural(1200, 'file')]).toEqual(['1 file', '1,200 files']);
  expect([12, 41_000_000, 2_400].map(roughly)).toEqual(['~12', '~41 M', '~2.4 k']);
});
