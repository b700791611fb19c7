import { expect, test } from 'vitest';

import { change, location, mistake, NO_SOURCE, sourceText } from '../../src/datasets/source';
import { dataset } from '../things';

test('options are read as the command line reads them', () => {
  const options = ' encoding=latin-1\n\nheader=false\ndelimiter= \nquote=\nmissing=["-"]';
  expect(location({ ...NO_SOURCE, path: ' a.csv ', options })).toEqual({
    path: 'a.csv',
    options: { encoding: 'latin-1', header: false, delimiter: ' ', quote: '', missing: ['-'] }
  });
});

test('a line that is no option is told of', () => {
  expect(mistake('delimiter=;\n=x')).toBe('“=x” is no option: write name=value.');
  expect(mistake('latin-1')).toContain('latin-1');
  expect(mistake('\n delimiter=;\n')).toBeNull();
});

test('options come back from a form as they went in', () => {
  const options = { a: 'x', b: '1', c: 1, d: '\t', e: 'x\ny', f: [true, null], g: '', h: '"' };
  const text = sourceText(dataset({ location: { path: 'a.csv', table: null, options } }));
  expect(location(text)).toEqual({ path: 'a.csv', options });
  expect(change(text, text)).toEqual({});
});

test('only what differs is changed', () => {
  const place = { path: 'a.csv', table: null, options: { delimiter: ';' } };
  const before = sourceText(dataset({ location: place }));
  expect(change(before, { ...before, format: '' })).toEqual({ format: null });
  expect(change(before, { ...before, options: '' })).toEqual({ location: { path: 'a.csv' } });
  expect(change(before, { ...before, table: 't', format: 'sqlite' })).toEqual({
    location: { path: 'a.csv', table: 't', options: { delimiter: ';' } },
    format: 'sqlite'
  });
});
