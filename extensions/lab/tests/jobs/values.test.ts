import { describe, expect, test } from 'vitest';

import { choice, firstTexts, read, readLimit, shown } from '../../src/jobs/values';
import { inspection, parameter } from '../things';

test.each([
  ['int', '2013', { value: 2013 }],
  ['int', ' -1_000 ', { value: -1000 }],
  ['int', '1.5', { error: 'Write a whole number.' }],
  ['int', '99999999999999999999', { error: 'This number is too large to be sent exactly.' }],
  ['int', '', null],
  ['float', '1e-3', { value: 0.001 }],
  ['float', 'inf', { error: 'Write a number such as 0.5.' }],
  ['float', 'Infinity', { error: 'Write a number such as 0.5.' }],
  ['bool', 'True', { value: true }],
  ['bool', 'yes', { error: 'Write true or false.' }],
  ['str', ' kept as it is ', { value: ' kept as it is ' }],
  ['str', '', { value: '' }],
  ['str', '2013', { value: '2013' }],
  ['list', '[1, 2]', { value: [1, 2] }],
  ['list', '{"a": 1}', { error: 'Write a list such as [1, 2, 3].' }],
  ['list', '[1,', { error: 'Write a list such as [1, 2, 3].' }],
  ['dict', '{"a": 1}', { value: { a: 1 } }],
  ['dict', 'null', { error: 'Write an object such as {"year": 2013}.' }],
  ['other', '5', { value: 5 }],
  ['other', 'some words', { value: 'some words' }],
  ['None', '  ', null]
] as const)('as %s, %j means %j', (type, text, meaning) => {
  expect(read(parameter({ type, default: type === 'str' ? 'x' : null }), text)).toEqual(meaning);
});

test('an empty text stays the notebook’s own where that is an expression', () => {
  expect(read(parameter({ type: 'str', default: null, source: 'today()' }), '')).toBeNull();
});

test('what is shown is read back as the same', () => {
  for (const [type, value] of [
    ['int', 5],
    ['float', 0.25],
    ['bool', false],
    ['str', '"quoted"'],
    ['str', '5'],
    ['other', '5'],
    ['list', ['é', null]],
    ['dict', { a: [1] }]
  ] as const) {
    expect(read(parameter({ type }), shown(type, value))).toEqual({ value });
  }
});

describe('what a job is given', () => {
  const asked = inspection({
    parameters: [
      parameter(),
      parameter({ name: 'carrier', type: 'str', default: 'UA', source: '"UA"' }),
      parameter({ name: 'since', type: 'other', default: null, source: 'now()' })
    ]
  });

  test('is nothing, where all is as the notebook says', () => {
    expect(choice(asked, firstTexts(asked, {}))).toEqual({ values: {}, errors: {} });
  });

  test('is what differs, each in its own type', () => {
    const texts = { ...firstTexts(asked, {}), year: '2012', since: '2012-01-01' };
    expect(choice(asked, texts).values).toEqual({ year: 2012, since: '2012-01-01' });
  });

  test('begins with the last values, and forgets those the notebook no longer has', () => {
    expect(firstTexts(asked, { year: 2011, gone: 1 })).toEqual({
      year: '2011',
      carrier: 'UA',
      since: ''
    });
  });

  test('names each mistake', () => {
    expect(choice(asked, { year: 'soon', carrier: '', since: '' })).toEqual({
      values: { carrier: '' },
      errors: { year: 'Write a whole number.' }
    });
  });
});

test('time limits', () => {
  expect(readLimit('', 'min')).toBeNull();
  expect(readLimit('90', 'min')).toBe(5400);
  expect(readLimit('1.5', 'h')).toBe(5400);
  expect(readLimit('0', 'h')).toHaveProperty('error');
  expect(readLimit('soon', 'h')).toHaveProperty('error');
  expect(readLimit('721', 'h')).toHaveProperty('error');
});
