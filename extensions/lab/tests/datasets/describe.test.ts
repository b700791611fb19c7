import { expect, test } from 'vitest';

import { format, missing, principal, range, shape, status } from '../../src/datasets/describe';
import { column, dataset } from '../things';

const now = new Date('2026-11-24T19:00:00Z');

test('rows by columns, marked where nobody counted', () => {
  expect(shape(dataset())).toBe('336,776 × 1');
  expect(shape(dataset({ rows: 41_000_000, rows_exact: false }))).toBe('~41 M × 1');
  expect(shape(dataset({ rows: null }))).toBe('1 column');
  expect(shape(dataset({ columns: [] }))).toBe('');
});

test('formats as their people write them', () => {
  expect(format(dataset())).toBe('CSV');
  expect(format(dataset({ format: null }))).toBe('');
  expect(format(dataset({ format: 'delta' }))).toBe('delta');
  const partitions = [{ name: 'dt', values: ['1'] }];
  expect(format(dataset({ format: 'parquet', partitions }))).toBe('Hive');
});

test('each status says how much can be trusted', () => {
  expect(status(dataset(), now)).toMatchObject({ mood: 'good', short: '2 h ago' });
  const stale = status(dataset({ status: 'stale', message: 'The folder is gone.' }), now);
  expect(stale.long).toBe('The folder is gone. Schema and sample are of 2 h ago.');
  expect(status(dataset({ status: 'probing', probed_at: null }), now).mood).toBe('busy');
  expect(status(dataset({ status: 'failed', message: null }), now).long).not.toBe('');
});

test('columns', () => {
  expect(range(column())).toBe('2013');
  expect(range(column({ maximum: '2014' }))).toBe('2013 … 2014');
  expect(range(column({ minimum: null }))).toBe('');
  expect(missing(column({ missing: 0.0245 }))).toBe('2.5 % missing');
  expect(missing(column({ missing: 0.0001 }))).toBe('<0.1 % missing');
  expect(missing(column())).toBe('');
});

test('who may use it, as people say it', () => {
  expect(['everyone', 'user:bo', 'group:sales', 'user:a:b'].map(principal)).toEqual([
    'everyone',
    'bo',
    'group sales',
    'a:b'
  ]);
});
