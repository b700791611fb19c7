/** Between what a person types into the run form and what a job is given. */

import type { Inspection, JobRequest, Parameter } from '../api';

export type Values = NonNullable<JobRequest['parameters']>;

/** Texts of the form's inputs, by the parameter's name. */
export type Texts = Record<string, string>;

/** What a text means: a value, nothing (the notebook's own default stays), or a mistake. */
export type Reading = { value: unknown } | { error: string } | null;

/** What a value looks like in its input. */
export function shown(type: string, value: unknown): string {
  if (value === null || value === undefined) {
    return '';
  }
  if (typeof value === 'string' && (type === 'str' || !isJson(value))) {
    return value;
  }
  return JSON.stringify(value);
}

/** What the inputs hold at first: the last values where there were some, else the defaults. */
export function firstTexts(inspection: Inspection, given: Values): Texts {
  return Object.fromEntries(
    inspection.parameters.map(({ name, type, default: own }) => [
      name,
      shown(type, name in given ? given[name] : own)
    ])
  );
}

/** What the text means for this parameter. */
export function read(parameter: Parameter, text: string): Reading {
  const trimmed = text.trim();
  if (parameter.type === 'str') {
    // An empty text is one, unless the notebook says by an expression what it is else.
    return text === '' && parameter.default === null ? null : { value: text };
  }
  if (trimmed === '') {
    return null;
  }
  switch (parameter.type) {
    case 'int':
      return readInt(trimmed);
    case 'float':
      return readFloat(trimmed);
    case 'bool':
      return /^(true|false)$/i.test(trimmed)
        ? { value: trimmed.toLowerCase() === 'true' }
        : { error: 'Write true or false.' };
    case 'list': {
      const value = parsed(trimmed);
      return Array.isArray(value) ? { value } : { error: 'Write a list such as [1, 2, 3].' };
    }
    case 'dict': {
      const value = parsed(trimmed);
      return isObject(value) ? { value } : { error: 'Write an object such as {"year": 2013}.' };
    }
    default: {
      const value = parsed(trimmed);
      return { value: value === undefined ? text : value };
    }
  }
}

export interface Choice {
  /** The values that differ from the notebook's own. */
  values: Values;
  /** What is wrong, by the parameter's name. */
  errors: Record<string, string>;
}

/** What the job is given: only what differs, so that the rest stays what the notebook says. */
export function choice(inspection: Inspection, texts: Texts): Choice {
  const values: Values = {};
  const errors: Record<string, string> = {};
  for (const parameter of inspection.parameters) {
    const reading = read(parameter, texts[parameter.name] ?? '');
    if (reading === null) {
      continue;
    }
    if ('error' in reading) {
      errors[parameter.name] = reading.error;
    } else if (differs(parameter, reading.value)) {
      values[parameter.name] = reading.value;
    }
  }
  return { values, errors };
}

/** Whether the value is another than the notebook's own. */
export function differs(parameter: Parameter, value: unknown): boolean {
  // A default that is an expression is none that could be compared.
  const known = parameter.type !== 'other';
  return !known || JSON.stringify(value) !== JSON.stringify(parameter.default);
}

export type Unit = 'min' | 'h';

const SECONDS: Record<Unit, number> = { min: 60, h: 3600 };
const LONGEST_S = 30 * 86_400;

/** A time limit in seconds, null for the platform's own, or what is wrong with it. */
export function readLimit(text: string, unit: Unit): number | null | { error: string } {
  const trimmed = text.trim();
  if (trimmed === '') {
    return null;
  }
  const seconds = Math.round(Number(trimmed) * SECONDS[unit]);
  if (!Number.isFinite(seconds) || seconds < 1) {
    return { error: 'Write a number above 0, or leave it empty.' };
  }
  return seconds > LONGEST_S ? { error: 'A job may take 30 days at most.' } : seconds;
}

/** The paths in a text: one a line. */
export function readPaths(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
}

function readInt(text: string): Reading {
  if (!/^[+-]?\d[\d_]*$/.test(text)) {
    return { error: 'Write a whole number.' };
  }
  const value = Number(text.replaceAll('_', ''));
  return Number.isSafeInteger(value)
    ? { value }
    : { error: 'This number is too large to be sent exactly.' };
}

function readFloat(text: string): Reading {
  const value = Number(text.replaceAll('_', ''));
  return Number.isFinite(value) ? { value } : { error: 'Write a number such as 0.5.' };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // no JSON: the caller knows what that means
  }
}

function isJson(text: string): boolean {
  return parsed(text) !== undefined;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
