/** A source as people write it into a form, and as the platform takes it. */

import type { Dataset, DatasetChange, DatasetRequest } from '../api';

type Location = DatasetRequest['location'];
type Options = NonNullable<Location['options']>;

/** What a form's fields hold. */
export interface SourceText {
  path: string;
  table: string;
  /** Empty where it is to be found out. */
  format: string;
  /** One a line: `name=value`. */
  options: string;
}

export const NO_SOURCE: SourceText = { path: '', table: '', format: '', options: '' };

/** A dataset's source as a form begins with it. */
export function sourceText(dataset: Dataset): SourceText {
  const { format, location } = dataset;
  return {
    path: location?.path ?? '',
    table: location?.table ?? '',
    format: format ?? '',
    options: Object.entries(location?.options ?? {})
      .map(([name, value]) => `${name}=${written(value)}`)
      .join('\n')
  };
}

/** The location that the fields say; what was left empty is left out. */
export function location(text: SourceText): Location {
  const { path, table, options } = text;
  return {
    path: path.trim(),
    ...(table.trim() === '' ? {} : { table: table.trim() }),
    ...(options.trim() === '' ? {} : { options: parsed(options) })
  };
}

/** What a form that began with `before` changes; empty where it changes nothing. */
export function change(before: SourceText, after: SourceText): DatasetChange {
  const { format, ...place } = after;
  const moved = (Object.keys(place) as (keyof typeof place)[]).some(
    field => place[field] !== before[field]
  );
  return {
    ...(moved ? { location: location(after) } : {}),
    ...(format === before.format ? {} : { format: format === '' ? null : format })
  };
}

/** What is wrong with the options; null where nothing is. */
export function mistake(options: string): string | null {
  const wrong = lines(options).find(line => line.indexOf('=') < 1);
  return wrong === undefined ? null : `“${wrong}” is no option: write name=value.`;
}

/** As the command line reads them: JSON where a value is that, else a text. */
function parsed(options: string): Options {
  return Object.fromEntries(
    lines(options).map(line => {
      const at = line.indexOf('=');
      return [line.slice(0, at).trim(), value(line.slice(at + 1))];
    })
  );
}

/** Not trimmed at their ends: a delimiter may be a blank. */
function lines(options: string): string[] {
  return options.split('\n').filter(line => line.trim() !== '');
}

function value(text: string): Options[string] {
  try {
    return JSON.parse(text) as Options[string];
  } catch {
    return text;
  }
}

/** So that it is read as what it was: a text that would be something else in quotes. */
function written(option: unknown): string {
  return typeof option === 'string' && /^[^\n]*$/.test(option) && value(option) === option
    ? option
    : JSON.stringify(option);
}
