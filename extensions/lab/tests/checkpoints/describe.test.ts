import { expect, test } from 'vitest';

import { imageName, lines, name, shareDone, stage, status } from '../../src/checkpoints/describe';
import type { EnvironmentModel } from '../../src/checkpoints/model';
import type { Events } from '../../src/events';
import { changed, checkpoint, server } from '../things';

const now = new Date(2026, 10, 24, 19, 0);
const saved = new Date(2026, 10, 24, 18, 42).toISOString();

type Seen = Pick<
  EnvironmentModel,
  'server' | 'lentBy' | 'saving' | 'heldUp' | 'failed' | 'unsaved'
>;

function said(
  seen: Partial<Seen>,
  state: Events['state'] = 'connected',
  code = ''
): ReturnType<typeof status> {
  const nothing = { lentBy: null, saving: null, heldUp: null, failed: null, unsaved: 0 };
  const model: Seen = { server: server(), ...nothing, ...seen };
  const problem = { type: '', status: 0, code, title: '', detail: 'It is so.', hint: null };
  return status(model as EnvironmentModel, { state, problem }, now);
}

test('is it saved?', () => {
  expect(said({}).text).toBe('nothing to save');
  expect(said({ server: server({ saved_at: saved }) }).text).toBe('saved 18:42');
  expect(said({ unsaved: 3 })).toMatchObject({ text: '3 unsaved changes', mood: 'warning' });
  expect(said({ unsaved: 1, server: server({ saved_at: saved }) }).long).toContain('since 18:42');
});

test('a save says how far it is, a failed one why', () => {
  const saving = checkpoint({ status: 'copying', progress: { done: 42, total: 100 } });
  expect(said({ saving }).text).toBe('saving 42 %');
  const failed = checkpoint({ status: 'failed', message: 'the disk is full' });
  expect(said({ failed })).toMatchObject({ mood: 'bad', text: 'not saved: the disk is full' });
  const again = checkpoint({ status: 'failed', message: 'Not saved: the disk is full' });
  expect(said({ failed: again }).text).toBe('not saved: the disk is full');
});

test('a save that something holds up is not called one that goes on', () => {
  const heldUp = 'Not saved yet: the registry is away.';
  expect(said({ saving: checkpoint({ status: 'scanning' }), heldUp })).toMatchObject({
    mood: 'warning',
    text: 'not saved yet, trying again',
    long: heldUp
  });
});

test('an image is called without its registry', () => {
  expect(imageName('localhost:5000/atoll/singleuser')).toBe('atoll/singleuser');
  expect(imageName('registry.example/atoll/r')).toBe('atoll/r');
  expect(imageName('jupyter/scipy')).toBe('jupyter/scipy');
  expect(imageName('Python 3.11 · 120 packages')).toBe('Python 3.11 · 120 packages');
});

test('nothing is promised while the platform is away', () => {
  expect(said({}, 'away').text).toBe('platform away');
  expect(said({}, 'away', 'server_away').text).toBe('server does not answer');
  expect(said({ unsaved: 3 }, 'stopped')).toMatchObject({ mood: 'none', text: 'server stopped' });
  expect(said({ server: null }).text).toBe('platform away');
});

test('stages of a save', () => {
  const progress = { done: 22e6, total: 52e6 };
  expect(stage(checkpoint({ status: 'copying', progress }))).toBe('copying: 22 MB of 52 MB');
  expect(stage(checkpoint({ status: 'requested' }))).toBe('waiting');
  expect(shareDone({ done: 5, total: 0 })).toBeNull();
  expect(shareDone({ done: 5, total: 4 })).toBe(1);
});

test('what changed, line by line', () => {
  const changes = {
    packages: [
      changed('polars', null, '2.1.0'),
      changed('pandas', '3.0.9', '3.0.10'),
      changed('numpy', '2.1', '2.0'),
      changed('xlrd', '2.0.1', null)
    ],
    directories: [{ path: '/opt/tools', files: 12, size: 3_100_000 }],
    files: 20,
    size: 1
  };
  expect(lines(changes).map(({ mark, what, detail }) => `${mark} ${what} ${detail}`)).toEqual([
    '+ polars 2.1.0',
    '↑ pandas 3.0.9 → 3.0.10',
    '↓ numpy 2.1 → 2.0',
    '− xlrd 2.0.1',
    ' /opt/tools 12 files, 3.1 MB'
  ]);
});

test('a checkpoint is called by its note, else by its time', () => {
  expect(name(checkpoint({ created_at: saved }), now)).toBe('the checkpoint of 18:42');
  expect(name(checkpoint({ created_at: saved, note: 'before upgrade' }), now)).toBe(
    '“before upgrade” (18:42)'
  );
});
