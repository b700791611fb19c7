/** Calls to the platform's service, through this server's `atoll/api`, and what they answer. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { components } from './generated/api';
import { Overdue } from './overdue';

type Schemas = components['schemas'];

/** An answer always holds every field; the description marks those with a default as optional. */
type Complete<T> = T extends (infer Item)[]
  ? Complete<Item>[]
  : T extends object
    ? { [Name in keyof T]-?: Complete<Exclude<T[Name], undefined>> }
    : T;

export type Changes = Complete<Schemas['Changes']>;
export type Checkpoint = Complete<Schemas['Checkpoint']>;
export type CheckpointEdit = Schemas['CheckpointEdit'];
export type Column = Complete<Schemas['Column']>;
export type Dataset = Complete<Schemas['Dataset']>;
export type DatasetChange = Schemas['DatasetChange'];
export type DatasetRequest = Schemas['DatasetRequest'];
export type Inspection = Complete<Schemas['Inspection']>;
export type Job = Complete<Schemas['Job']>;
export type JobRequest = Schemas['JobRequest'];
export type LogChunk = Complete<Schemas['LogChunk']>;
export type Package = Complete<Schemas['Package']>;
export type Parameter = Complete<Schemas['Parameter']>;
export type Preview = Complete<Schemas['Preview']>;
export type Progress = Complete<Schemas['Progress']>;
export type Queue = Complete<Schemas['Queue']>;
export type ResourceLimits = Complete<Schemas['ResourceLimits']>;
export type Resources = Schemas['Resources'];
export type Server = Complete<Schemas['Server']>;
export type Problem = Complete<Schemas['Problem']>;

/** One page of a list. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** Who this server is, as `atoll/info` says. */
export interface Info {
  /** Whether the server was started by Atoll, so that there is a platform at all. */
  present: boolean;
  user: string;
  /** JupyterHub's name of the server; empty for the default one. */
  server: string;
  hubPrefix: string;
  apiVersion: string;
  /** What its user must be told, such as that the home is full; empty where there is nothing. */
  notice: string;
}

/** What lies in the home instead of the environment, as `atoll/home` says. */
export interface Elsewhere {
  /** The first of them, by name. */
  packages: { name: string; version: string }[];
  package_count: number;
  /** Paths below the home. */
  environments: { path: string; kind: 'venv' | 'conda' }[];
  /** Whether all of the home was looked at. */
  complete: boolean;
}

/** The hub's page that starts the server again. */
export function startPage(info: Info): string {
  const server = info.server === '' ? '' : `/${encodeURIComponent(info.server)}`;
  return `${info.hubPrefix}spawn/${encodeURIComponent(info.user)}${server}`;
}

export type Query = Record<string, string | number | boolean | undefined>;

/** An answer of the platform that says what went wrong and what to do. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.hint === null ? problem.detail : `${problem.detail} ${problem.hint}`);
    this.name = 'ProblemError';
  }
}

/** The most pages that are read of one list: what a panel can sensibly show. */
const MOST_PAGES = 5;
const PAGE = 200;

export class Api {
  /** @param overdue is told what is waited for */
  constructor(
    private readonly settings: ServerConnection.ISettings,
    private readonly overdue = new Overdue()
  ) {}

  /** Who this server is; answered by the server itself, also while the platform is away. */
  async info(): Promise<Info> {
    return (await (await this.request('GET', 'atoll/info')).json()) as Info;
  }

  /** What lies in the home instead of the environment; answered by the server itself too. */
  async elsewhere(): Promise<Elsewhere> {
    return (await (await this.request('GET', 'atoll/home')).json()) as Elsewhere;
  }

  async get<T>(path: string, query: Query = {}): Promise<T> {
    return (await (await this.call('GET', path, undefined, query)).json()) as T;
  }

  async text(path: string): Promise<string> {
    return (await this.call('GET', path)).text();
  }

  async post<T>(path: string, body?: unknown): Promise<T> {
    return (await (await this.call('POST', path, body)).json()) as T;
  }

  /** Submit a job with files that this server captures; and what has to be said of those it left out. */
  async submit<T>(job: JobRequest, files: readonly string[]): Promise<[T, string | null]> {
    const answer = await this.request('POST', 'atoll/submit', { job, files });
    const leftOut = answer.headers.get('Atoll-Left-Out');
    return [(await answer.json()) as T, leftOut === null ? null : decodeURIComponent(leftOut)];
  }

  async patch<T>(path: string, body: unknown): Promise<T> {
    return (await (await this.call('PATCH', path, body)).json()) as T;
  }

  async put<T>(path: string, body: unknown): Promise<T> {
    return (await (await this.call('PUT', path, body)).json()) as T;
  }

  async delete(path: string): Promise<void> {
    await this.call('DELETE', path);
  }

  /** All items of a list, newest first, up to `MOST_PAGES` pages. */
  async all<T>(path: string, query: Query = {}): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page++) {
      const answer = await this.get<Page<T>>(path, { ...query, limit: PAGE, cursor });
      items.push(...answer.items);
      if (answer.next === null) {
        break;
      }
      cursor = answer.next;
    }
    return items;
  }

  private call(method: string, path: string, body?: unknown, query: Query = {}): Promise<Response> {
    const given = Object.entries(query)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, String(value)]);
    const search = given.length > 0 ? `?${new URLSearchParams(given).toString()}` : '';
    return this.request(method, `atoll/api/${path}${search}`, body);
  }

  private async request(method: string, path: string, body?: unknown): Promise<Response> {
    const init: RequestInit = { method, headers: { Accept: 'application/json' } };
    if (body !== undefined) {
      init.headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
      init.body = JSON.stringify(body);
    }
    let response: Response;
    const answered = this.overdue.begin();
    try {
      response = await ServerConnection.makeRequest(
        URLExt.join(this.settings.baseUrl, path),
        init,
        this.settings
      );
    } catch (error) {
      throw new ProblemError(
        serverAway(error instanceof Error ? error.message : 'no reason given')
      );
    } finally {
      answered();
    }
    if (!response.ok) {
      throw new ProblemError(await this.why(method, response));
    }
    return response;
  }

  /** Of a stopped server the hub tells it to a GET alone: it refuses to pass on what changes something. */
  private async why(method: string, response: Response): Promise<Problem> {
    const told = await problemOf(response);
    if (method === 'GET' || told.code !== NO_ANSWER || told.status !== 403) {
      return told;
    }
    const silent = await whySilent(this.settings);
    return silent.code === SERVER_STOPPED ? silent : told;
  }
}

/** One segment of a path, whatever a user, dataset or server is called. */
export function segment(name: string): string {
  return encodeURIComponent(name);
}

/** What to tell of any error: a problem's own words, or what is known of another. */
export function asProblem(error: unknown): Problem {
  if (error instanceof ProblemError) {
    return error.problem;
  }
  const detail = error instanceof Error ? error.message : String(error);
  return problem('unexpected', 'Something went wrong in this page', detail, 'Reload the page.');
}

/** The server was stopped: nothing is wrong, and there is a page that starts it again. */
export const SERVER_STOPPED = 'server_stopped';
/** The server cannot be reached, or not yet. */
export const SERVER_AWAY = 'server_away';
/** Something answered that is none of ours. */
const NO_ANSWER = 'no_answer';

/** Why this server says nothing more: it was stopped, or it cannot be reached. */
export async function whySilent(settings: ServerConnection.ISettings): Promise<Problem> {
  try {
    await new Api(settings).info();
  } catch (error) {
    const found = asProblem(error);
    if (found.code === SERVER_STOPPED) {
      return found;
    }
  }
  return serverAway('');
}

function serverAway(why: string): Problem {
  return problem(
    SERVER_AWAY,
    'Your server does not answer',
    `Your Jupyter server does not answer${why === '' ? '' : ` (${why})`}.`,
    'This page goes on trying. If it was stopped, start it again from the hub.'
  );
}

function serverStopped(): Problem {
  return problem(
    SERVER_STOPPED,
    'Your server is stopped',
    'Your server is stopped; jobs go on.',
    'Start it again to go on working.'
  );
}

/** Whether the hub says so: with 424, or as those of before 2.0 with 503. A proxy says nothing. */
async function saysStopped(response: Response, type: string): Promise<boolean> {
  if (response.status === 424) {
    return true;
  }
  if (response.status !== 503 || !type.startsWith('application/json')) {
    return false;
  }
  const { message } = (await response.json()) as { message?: unknown };
  return typeof message === 'string' && /no(t| longer) running/.test(message);
}

async function problemOf(response: Response): Promise<Problem> {
  const type = response.headers.get('Content-Type') ?? '';
  if (type.startsWith('application/problem+json')) {
    const body = (await response.json()) as Partial<Problem>;
    return {
      type: body.type ?? 'about:blank',
      status: body.status ?? response.status,
      code: body.code ?? 'unknown',
      title: body.title ?? response.statusText,
      detail: body.detail ?? response.statusText,
      hint: body.hint ?? null
    };
  }
  const { status, statusText } = response;
  const stopped = await saysStopped(response, type).catch(() => false);
  if (stopped || status === 502 || status === 503 || status === 504) {
    const told = stopped ? serverStopped() : serverAway(`${String(status)} ${statusText}`);
    return { ...told, status };
  }
  const hint =
    status === 403
      ? 'Reload the page to log in again.'
      : 'Is Atoll’s server extension enabled? `jupyter server extension list` tells.';
  return {
    ...problem(
      NO_ANSWER,
      'The call was not answered',
      `The server answered ${String(status)} ${statusText}.`,
      hint
    ),
    status
  };
}

function problem(code: string, title: string, detail: string, hint: string): Problem {
  return { type: 'about:blank', status: 0, code, title, detail, hint };
}
