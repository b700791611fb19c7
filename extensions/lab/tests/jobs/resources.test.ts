import { expect, test } from 'vitest';

import { inWords, readResources, resourceTexts } from '../../src/jobs/resources';
import { LIMITS } from '../things';

function read(cpu: string, memory = '', gpu = ''): ReturnType<typeof readResources> {
  return readResources({ cpu, memory, gpu }, LIMITS);
}

test('nothing is asked for where nothing is typed', () => {
  expect(read('', '  ', '0')).toEqual({ resources: {}, errors: {} });
});

test.each([
  ['4G', '4G'],
  ['512m', '512M'],
  [' 4 GB ', '4G'],
  ['4GiB', '4G'],
  ['1.5G', '1536M'],
  ['32G', '32G'],
  ['0.25T', null],
  ['33G', null],
  ['4', null],
  ['0G', null],
  ['-1G', null],
  ['1e9G', null],
  ['99999999999G', null],
  ['0.001K', null],
  ['lots', null]
])('memory %j is %j', (text, memory) => {
  const { resources, errors } = read('', text);
  expect(resources.memory ?? null).toBe(memory);
  expect(errors.memory === undefined).toBe(memory !== null);
});

test.each([
  ['2', 2],
  [' 0.5 ', 0.5],
  ['8', 8],
  ['8.1', null],
  ['0', null],
  ['1,5', null],
  ['1.2.3', null],
  ['Infinity', null],
  ['two', null]
])('%j CPUs are %j', (text, cpu) => {
  const { resources, errors } = read(text);
  expect(resources.cpu ?? null).toBe(cpu);
  expect(errors.cpu === undefined).toBe(cpu !== null);
});

test('GPUs are whole, and none are asked for where there are none', () => {
  expect(read('', '', '2').resources).toEqual({ gpu: 2 });
  expect(read('', '', '5').errors).toEqual({ gpu: 'A job may have 4 GPUs at most.' });
  expect(read('', '', '1.5').errors).toEqual({ gpu: 'Write a whole number.' });
  const texts = { cpu: '', memory: '', gpu: '1' };
  expect(readResources(texts, { ...LIMITS, gpu_most: 0 })).toEqual({ resources: {}, errors: {} });
});

test('what an earlier job asked for is read back as the same', () => {
  const asked = { cpu: 0.5, memory: '16G', gpu: 1 };
  expect(readResources(resourceTexts(asked), LIMITS).resources).toEqual(asked);
  expect(resourceTexts({ cpu: null, memory: null, gpu: null })).toEqual(resourceTexts());
});

test('in words', () => {
  expect(inWords({ cpu: 1, memory: '4G', gpu: 2 })).toBe('1 CPU, 4G of memory, 2 GPUs');
  expect(inWords({ cpu: null, memory: null, gpu: 0 })).toBe('');
});
