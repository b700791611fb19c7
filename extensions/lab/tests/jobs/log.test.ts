import { afterEach, beforeEach, expect, test } from 'vitest';

import { JobLog, plain } from '../../src/jobs/log';
import { Platform, problem, until } from '../platform';

let platform: Platform;
let log: JobLog;

beforeEach(async () => {
  platform = await Platform.start();
  log = new JobLog(platform.api, 'j-1');
});

afterEach(async () => {
  await platform.stop();
});

/** The log's pieces, of any length, as the platform gives them. */
function holds(pieces: string[]): void {
  platform.routes['GET jobs/j-1/log'] = ({ path }) => {
    const offset = Number(/offset=(\d+)/.exec(path)?.[1]);
    let start = 0;
    for (const [at, text] of pieces.entries()) {
      if (start === offset) {
        const next_offset = start + text.length;
        return { body: { text, next_offset, complete: at === pieces.length - 1 } };
      }
      start += text.length;
    }
    return { body: { text: '', next_offset: offset, complete: true } };
  };
}

test('a log is read from where it was left until it is complete', async () => {
  holds(['a'.repeat(20_000), 'the end']);
  const end = log.follow();
  await until(() => log.complete);
  end();
  expect(log.text.endsWith('athe end')).toBe(true);
  expect(platform.said).toEqual(['GET jobs/j-1/log?offset=0', 'GET jobs/j-1/log?offset=20000']);
});

test('two views of one log read it once', async () => {
  holds(['all of it']);
  const ends = [log.follow(), log.follow()];
  await until(() => log.complete);
  ends.forEach(end => end());
  expect(platform.calls).toHaveLength(1);
});

test('of a log without measure the end is kept, from the start of a line', async () => {
  const line = `${'x'.repeat(99)}\n`;
  holds([line.repeat(2000), line.repeat(2000)]);
  log.follow();
  await until(() => log.complete);
  expect(log.cut).toBe(true);
  expect(log.text.length).toBeLessThanOrEqual(256 * 1024);
  expect(log.text.startsWith('x'.repeat(99))).toBe(true);
});

test('a log that cannot be read says why and keeps what there is', async () => {
  platform.routes['GET jobs/j-1/log'] = () => problem(503, 'unavailable', 'The platform rests.');
  const end = log.follow();
  await until(() => log.problem !== null);
  end();
  expect(log.problem?.detail).toBe('The platform rests.');
});

test('what a terminal shows: no colours, progress bars as they were last', () => {
  expect(plain('\u001b[32mgreen\u001b[0m text')).toBe('green text');
  expect(plain('10%\r50%\r100%\nnext')).toBe('100%\nnext');
  expect(plain('windows\r\nline\r\n')).toBe('windows\nline\n');
  expect(plain('still going\r')).toBe('still going');
  expect(plain('\u001b]8;;http://x\u0007link\u001b]8;;\u0007')).toBe('link');
  expect(plain('')).toBe('');
});
