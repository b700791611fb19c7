/** How a job is put into few words, and into a command. */

import type { Job } from '../api';
import { plural } from '../views/format';

export type Mood = 'good' | 'busy' | 'warning' | 'bad' | 'none';

export interface JobWords {
  mark: string;
  mood: Mood;
  /** One word, for those who do not see the mark. */
  spoken: string;
  /** What is to be said about it, in one line; empty where there is nothing. */
  line: string;
}

const FINAL = new Set<Job['status']>(['succeeded', 'failed', 'stopped']);

/** Whether nothing about the job will change any more. */
export function final(job: Job): boolean {
  return FINAL.has(job.status);
}

/** Whether a stop was asked for and is not done yet. */
export function stopping(job: Job): boolean {
  return job.target === 'stopped' && !final(job);
}

/** How the job is, in a mark and a line. */
export function words(job: Job): JobWords {
  if (stopping(job)) {
    return { mark: '◌', mood: 'busy', spoken: 'stopping', line: 'stopping…' };
  }
  switch (job.status) {
    case 'queued':
      return { mark: '◌', mood: 'none', spoken: 'queued', line: waiting(job) };
    case 'admitted':
    case 'starting':
      return {
        mark: '▸',
        mood: 'busy',
        spoken: 'starting',
        line: clause(job.message ?? 'starting')
      };
    case 'running':
      return { mark: '▸', mood: 'busy', spoken: 'running', line: step(job) };
    case 'failed':
      return job.retried_by === null
        ? { mark: '▲', mood: 'bad', spoken: 'failed', line: failure(job) }
        : { mark: '▲', mood: 'bad', spoken: 'failed', line: `${failure(job)} · run again` };
    case 'stopped':
      return { mark: '■', mood: 'none', spoken: 'stopped', line: job.message ?? 'stopped' };
    case 'succeeded':
      return { mark: '●', mood: 'good', spoken: 'done', line: values(job.parameters) };
  }
}

/** How far a running job is: `cell 7 of 22`. */
export function step(job: Job): string {
  const { cell, cells } = job.step;
  return cell > 0 ? `cell ${String(cell)} of ${String(cells)}` : clause(job.message ?? 'starting');
}

/** The same as a share from 0 to 1: the cells that are done; null before the first. */
export function share(job: Job): number | null {
  const { cell, cells } = job.step;
  return cell > 0 && cells > 0 ? Math.min(1, (cell - 1) / cells) : null;
}

/** Where in the queue, and what it waits for: `3rd in “default”; 2 ahead of you`. */
export function waiting(job: Job): string {
  const place =
    job.position === null ? `in “${job.queue}”` : `${ordinal(job.position)} in “${job.queue}”`;
  return job.message === null ? place : `${place}; ${clause(job.message)}`;
}

/** Why it failed: `cell 4: KeyError 'dest'`, or the reason where no cell did. */
export function failure(job: Job): string {
  const { failure: why, message } = job;
  if (why === null || why.name === '') {
    return message ?? 'It failed, and no reason was given.';
  }
  const where = why.cell === null ? '' : `cell ${String(why.cell)}: `;
  return `${where}${why.name}${why.value === '' ? '' : ` ${firstLine(why.value)}`}`;
}

/** Parameters as one line: `year=2013, dest=JFK`. */
export function values(parameters: Job['parameters']): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}

/** What a job is called in the panel. */
export function title(job: Job): string {
  return job.name === '' ? 'untitled notebook' : job.name;
}

/** Which environment was asked for, as one says it. */
export function environmentChoice(choice: string): string {
  const choices: Record<string, string> = {
    server: 'the server’s, saved on the spot',
    last: 'the server’s last saved one',
    base: 'the base'
  };
  return choices[choice] ?? 'one chosen by its digest';
}

/** A time limit in the largest unit that is exact: `2 h`, `90 min`, `45 s`. */
export function timeLimit(seconds: number): string {
  if (seconds % 86_400 === 0) {
    return plural(seconds / 86_400, 'day');
  }
  if (seconds % 3600 === 0) {
    return `${String(seconds / 3600)} h`;
  }
  return seconds % 60 === 0 ? `${String(seconds / 60)} min` : `${String(seconds)} s`;
}

/** `1st`, `2nd`, `3rd`, `4th`, `11th`. */
export function ordinal(number: number): string {
  const tens = number % 100;
  const suffix = tens >= 11 && tens <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][number % 10] ?? 'th');
  return `${String(number)}${suffix}`;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** A sentence as part of another. Names and abbreviations (GPU) keep their capitals. */
function clause(sentence: string): string {
  const open = sentence.replace(/\.$/, '');
  return /^[A-Z][a-z]/.test(open) ? open.charAt(0).toLowerCase() + open.slice(1) : open;
}
