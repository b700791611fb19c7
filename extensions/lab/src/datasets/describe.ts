/** How a dataset is put into few words. */

import type { Column, Dataset } from '../api';
import { count, percent, plural, relative, roughly } from '../views/format';

/** Rows × columns: `336,776 × 19`; rows are marked where nobody counted them exactly. */
export function shape(dataset: Dataset): string {
  if (dataset.columns.length === 0) {
    return '';
  }
  if (dataset.rows === null) {
    return plural(dataset.columns.length, 'column');
  }
  const rows = dataset.rows_exact ? count(dataset.rows) : roughly(dataset.rows);
  return `${rows} × ${count(dataset.columns.length)}`;
}

/** The format as its people write it. */
export function format(dataset: Dataset): string {
  const names: Record<string, string> = { csv: 'CSV', parquet: 'Parquet', sqlite: 'SQLite' };
  const hive = dataset.partitions.length > 0 && dataset.format === 'parquet';
  return hive ? 'Hive' : (names[dataset.format ?? ''] ?? dataset.format ?? '');
}

export interface StatusWords {
  mark: string;
  /** Which colour: `good`, `busy`, `warning`, `bad`. */
  mood: 'good' | 'busy' | 'warning' | 'bad';
  short: string;
  long: string;
}

/** How the dataset is, in a mark, a word or two, and a sentence. */
export function status(dataset: Dataset, now: Date): StatusWords {
  const ago = dataset.probed_at === null ? '' : relative(new Date(dataset.probed_at), now);
  switch (dataset.status) {
    case 'ready':
      return { mark: '●', mood: 'good', short: ago, long: `Read and checked ${ago}.` };
    case 'probing':
      return { mark: '◌', mood: 'busy', short: 'looking', long: 'The platform is looking at it.' };
    case 'stale': {
      const reason = dataset.message ?? 'The source did not answer.';
      const long = `${reason} Schema and sample are of ${ago}.`;
      return { mark: '▲', mood: 'warning', short: `of ${ago}`, long };
    }
    case 'failed':
      return {
        mark: '▲',
        mood: 'bad',
        short: 'not readable',
        long: dataset.message ?? 'It could not be read.'
      };
  }
}

/** What a column's values are between, or how many differ: `2013 … 2013`. */
export function range(column: Column): string {
  if (column.minimum === null || column.maximum === null) {
    return '';
  }
  return column.minimum === column.maximum
    ? column.minimum
    : `${column.minimum} … ${column.maximum}`;
}

/** `2.4 % missing`, or nothing where nothing is. */
export function missing(column: Column): string {
  return column.missing === null || column.missing === 0
    ? ''
    : `${percent(column.missing)} missing`;
}

/** `everyone`, `user:bo`, `group:sales` as people say it. */
export function principal(grant: string): string {
  if (grant === 'everyone') {
    return 'everyone';
  }
  const [kind, name] = [grant.slice(0, grant.indexOf(':')), grant.slice(grant.indexOf(':') + 1)];
  return kind === 'group' ? `group ${name}` : name;
}
