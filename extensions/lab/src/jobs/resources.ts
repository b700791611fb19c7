/** What a job may use, as one types it: CPUs, memory, GPUs, within what the platform allows. */

import type { ResourceLimits, Resources } from '../api';
import { plural } from '../views/format';

/** What is typed; empty is the platform's own. */
export interface ResourceTexts {
  cpu: string;
  memory: string;
  gpu: string;
}

export type ResourceErrors = Partial<Record<keyof ResourceTexts, string>>;

/** What an earlier job asked for, to begin with. */
export function resourceTexts(asked: Resources = {}): ResourceTexts {
  const text = (value: number | string | null | undefined): string => String(value ?? '');
  return { cpu: text(asked.cpu), memory: text(asked.memory), gpu: text(asked.gpu) };
}

/** What is asked for, only as far as anything is, and what is wrong. */
export function readResources(
  texts: ResourceTexts,
  limits: ResourceLimits
): { resources: Resources; errors: ResourceErrors } {
  const resources: Resources = {};
  const errors: ResourceErrors = {};
  const cpu = texts.cpu.trim();
  if (cpu !== '') {
    const number = Number(cpu);
    if (!/^[\d.]+$/.test(cpu) || !(number >= LEAST_CPU)) {
      errors.cpu = 'Write a number such as 2 or 0.5.';
    } else if (number > limits.cpu_most) {
      errors.cpu = `A job may have ${plural(limits.cpu_most, 'CPU')} at most.`;
    } else {
      resources.cpu = number;
    }
  }
  const memory = texts.memory.trim();
  if (memory !== '') {
    const read = readMemory(memory);
    if (read === null) {
      errors.memory = 'Write 512M or 4G.';
    } else if (bytes(read) > bytes(limits.memory_most)) {
      errors.memory = `A job may have ${limits.memory_most} at most.`;
    } else {
      resources.memory = read;
    }
  }
  const gpu = texts.gpu.trim();
  if (gpu !== '' && limits.gpu_most > 0) {
    if (!/^\d{1,4}$/.test(gpu)) {
      errors.gpu = 'Write a whole number.';
    } else if (Number(gpu) > limits.gpu_most) {
      errors.gpu = `A job may have ${plural(limits.gpu_most, 'GPU')} at most.`;
    } else if (Number(gpu) > 0) {
      resources.gpu = Number(gpu);
    }
  }
  return { resources, errors };
}

/** `2 CPUs, 4G of memory, 1 GPU`; empty where nothing is asked for. */
export function inWords(asked: Resources): string {
  const parts: string[] = [];
  if (asked.cpu != null) {
    parts.push(plural(asked.cpu, 'CPU'));
  }
  if (asked.memory != null) {
    parts.push(`${asked.memory} of memory`);
  }
  if (asked.gpu != null && asked.gpu > 0) {
    parts.push(plural(asked.gpu, 'GPU'));
  }
  return parts.join(', ');
}

const LEAST_CPU = 0.01;
const UNITS = ['K', 'M', 'G', 'T'];

/** `4G` for `4 gb`, `1536M` for `1.5G`; null for what is no amount, or none that is exact. */
function readMemory(text: string): string | null {
  const found = /^(\d{1,9}(?:\.\d{1,3})?)\s*([KMGT])(?:i?B)?$/i.exec(text);
  let amount = Number(found?.[1] ?? 0);
  let unit = UNITS.indexOf((found?.[2] ?? '').toUpperCase());
  while (unit > 0 && !Number.isInteger(amount)) {
    amount *= 1024;
    unit--;
  }
  const exact = Number.isInteger(amount) && amount > 0 && amount < 1e9;
  return exact ? `${String(amount)}${UNITS[unit] ?? ''}` : null;
}

function bytes(memory: string): number {
  return Number(memory.slice(0, -1)) * 1024 ** (UNITS.indexOf(memory.slice(-1)) + 1);
}
