/** The same job as a command for the shell and as Python. */

import type { Resources } from '../api';
import type { Values } from './values';

/** What is asked for, as far as it is said in code. */
export interface Asked {
  values: Values;
  /** `server`, `last`, `base` or a digest. */
  environment: string;
  /** Seconds; null for the platform's own. */
  limit: number | null;
  /** How often it is run again where it fails. */
  retries: number;
  /** Files beside the notebook that the job is given. */
  files: readonly string[];
  /** Only what is not as usual. */
  resources: Resources;
}

const DEFAULT_ENVIRONMENT = 'server';

/** Why there may be no command. */
export const NO_COMMAND = 'The command line takes no lists and objects; the SDK does.';

/** `atoll jobs submit report.ipynb -p year=2013`; null where a value has no form in a shell. */
export function cli(path: string, asked: Asked): string | null {
  const { values, environment, limit, retries, files, resources } = asked;
  const parts = ['atoll jobs submit', quoted(path.startsWith('-') ? `./${path}` : path)];
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'object' && value !== null) {
      return null; // the command line's values are text, numbers, True, False and null
    }
    const option = typeof value === 'string' && isTyped(value) ? '-r' : '-p';
    parts.push(`${option} ${quoted(`${name}=${shellValue(value)}`)}`);
  }
  if (environment !== DEFAULT_ENVIRONMENT) {
    parts.push(`--environment ${environment}`);
  }
  if (limit !== null) {
    parts.push(`--timeout ${time(limit)}`);
  }
  if (retries > 0) {
    parts.push(`--retries ${String(retries)}`);
  }
  for (const [name, value] of Object.entries(resources)) {
    parts.push(`--${name} ${String(value)}`);
  }
  for (const file of files) {
    parts.push(`--with ${quoted(file.startsWith('-') ? `./${file}` : file)}`);
  }
  return parts.join(' ');
}

/** `atoll.submit("report.ipynb", parameters={"year": 2013})`, with its import. */
export function sdk(path: string, asked: Asked): string {
  const { values, environment, limit, retries, files, resources } = asked;
  const parts = [literal(path)];
  if (Object.keys(values).length > 0) {
    parts.push(`parameters=${literal(values)}`);
  }
  if (environment !== DEFAULT_ENVIRONMENT) {
    parts.push(`environment=${literal(environment)}`);
  }
  if (limit !== null) {
    parts.push(`timeout=${String(limit)}`);
  }
  if (retries > 0) {
    parts.push(`retries=${String(retries)}`);
  }
  for (const [name, value] of Object.entries(resources)) {
    parts.push(`${name}=${literal(value)}`);
  }
  if (files.length > 0) {
    parts.push(`files=${literal(files)}`);
  }
  return `import atoll\n\njob = atoll.submit(${parts.join(', ')})`;
}

/** The value as Python writes it. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (Array.isArray(value)) {
    return `[${value.map(literal).join(', ')}]`;
  }
  if (typeof value === 'object') {
    const items = Object.entries(value).map(([name, item]) => `${literal(name)}: ${literal(item)}`);
    return `{${items.join(', ')}}`;
  }
  // JSON's text and numbers are Python's too.
  return JSON.stringify(value);
}

/** Whether the command line would take the text for something else: a number, a truth, none. */
function isTyped(text: string): boolean {
  return /^(true|false|null|none)$/i.test(text) || /^[\s+-]*[\d.]/.test(text);
}

function shellValue(value: unknown): string {
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** `2h`, `90m`, `45s` */
function time(seconds: number): string {
  if (seconds % 3600 === 0) {
    return `${String(seconds / 3600)}h`;
  }
  return seconds % 60 === 0 ? `${String(seconds / 60)}m` : `${String(seconds)}s`;
}

/** One word for a POSIX shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
