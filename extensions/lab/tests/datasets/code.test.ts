import { expect, test } from 'vitest';

import { below, loading, variable } from '../../src/datasets/code';

test.each([
  ['flights', 'flights'],
  ['sales.orders-eu', 'sales_orders_eu'],
  ['2013', '_2013'],
  ['class', 'class_'],
  ['list', 'list_'],
  ['atoll', 'atoll_']
])('the variable of the dataset %s is %s', (name, expected) => {
  expect(variable(name)).toBe(expected);
});

const CODE = loading('xray', 'bo:xray');

test('a dataset is loaded into a variable of its own name and shown', () => {
  expect(CODE).toBe('import atoll\n\nxray = atoll.dataset("bo:xray").to_pandas()\nxray.head()');
});

test.each(['import atoll', 'x = 1\nimport os, atoll  # both', 'import atoll, os', 'import atoll;'])(
  'what a cell above has imported is not imported again: %s',
  source => {
    expect(below(CODE, ['1 + 1', source])).toMatch(/^xray = /);
  }
);

test.each(['', '# import atoll', 'import atoll.sdk', 'import atoll as a', 'import atolls'])(
  'what is not that import leaves it where it is: %s',
  source => {
    expect(below(CODE, [source])).toBe(CODE);
  }
);
