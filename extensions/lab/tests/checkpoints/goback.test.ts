// @vitest-environment jsdom
import { expect, test } from 'vitest';

import { stopped } from '../../src/checkpoints/goback';

test('one waits until the server no longer answers, but not for ever', async () => {
  let asked = 0;
  const answers = (): Promise<void> => {
    asked++;
    return asked < 3 ? Promise.resolve() : Promise.reject(new Error('gone'));
  };
  await stopped(answers, () => Promise.resolve());
  expect(asked).toBe(3);
  asked = -1000;
  await stopped(answers, () => Promise.resolve(), 5);
  expect(asked).toBe(-995);
});
