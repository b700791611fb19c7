/** A person's jobs: what waits, runs and is done, kept current, and what one can do with them. */

import type { INotebookContent } from '@jupyterlab/nbformat';

import {
  ProblemError,
  segment,
  type Api,
  type Dataset,
  type Info,
  type Inspection,
  type Job,
  type JobRequest,
  type Server
} from '../api';
import type { Event, Events } from '../events';
import { LiveModel } from '../live';
import { JobLog } from './log';

/** The sections of the panel, in their order. */
export type Group = 'Running' | 'Queued' | 'Failed' | 'Done';

/** More changed jobs than this are fetched faster as a list. */
const FEW = 8;

/** How late a place in the queue may be: others' jobs end without a word to us. */
const QUEUE_POLL_MS = 5_000;

const GROUPS: Record<Job['status'], Group> = {
  queued: 'Queued',
  admitted: 'Running',
  starting: 'Running',
  running: 'Running',
  succeeded: 'Done',
  stopped: 'Done',
  failed: 'Failed'
};

export class JobsModel extends LiveModel {
  constructor(
    api: Api,
    events: Events,
    readonly info: Info
  ) {
    super(api, events);
  }

  /** Whether there is a platform to run jobs at all. */
  get present(): boolean {
    return this.info.present;
  }

  /** Newest first. */
  get jobs(): readonly Job[] {
    return this._jobs;
  }

  /** The job whose details are shown. */
  get selected(): Job | null {
    return this.byId(this._selected);
  }

  byId(id: string | null): Job | null {
    return this._jobs.find(job => job.id === id) ?? null;
  }

  select(id: string | null): void {
    this._selected = id;
    this.tell();
  }

  /** The jobs whose name, parameters or status holds the text, by how far they are. */
  groups(filter: string): [Group, Job[]][] {
    const wanted = filter.trim().toLowerCase();
    const found = this._jobs.filter(job =>
      `${job.name} ${job.status} ${job.id} ${JSON.stringify(job.parameters)}`
        .toLowerCase()
        .includes(wanted)
    );
    const groups: Group[] = ['Running', 'Queued', 'Failed', 'Done'];
    return groups.map(group => {
      const members = found.filter(job => GROUPS[job.status] === group);
      // Who waits stands as the queue stands.
      const ordered = group === 'Queued' ? members.sort(byPosition) : members;
      return [group, ordered];
    });
  }

  /** What the run form of a notebook is made from. */
  inspect(name: string, folder: string, notebook: INotebookContent): Promise<Inspection> {
    return this.api.post<Inspection>('jobs/inspect', { name, folder, notebook });
  }

  /** This server as the platform sees it: what its environment was saved as, and what was not. */
  server(): Promise<Server> {
    const server = this.info.server === '' ? '-' : this.info.server;
    return this.api.get<Server>(`servers/${segment(this.info.user)}/${segment(server)}`);
  }

  /** With files, named from the notebook's folder; what is left out of them is told. */
  async submit(
    request: JobRequest,
    files: readonly string[] = [],
    tell: (leftOut: string) => void = () => undefined
  ): Promise<Job> {
    if (files.length === 0) {
      return this.added(await this.api.post<Job>('jobs', request));
    }
    const [job, leftOut] = await this.api.submit<Job>(request, files);
    if (leftOut !== null) {
      tell(leftOut);
    }
    return this.added(job);
  }

  /** Run the same notebook with the same values once more. */
  async again(job: Job): Promise<Job> {
    return this.added(await this.api.post<Job>(`${path(job)}/again`));
  }

  async stop(job: Job): Promise<void> {
    this.put(await this.api.post<Job>(`${path(job)}/stop`));
  }

  async remove(job: Job): Promise<void> {
    await this.api.delete(path(job));
    this.drop(job.id);
    this._logs.delete(job.id);
    this.tell();
  }

  /** The notebook with what its cells gave; as far as it has come while the job runs. */
  output(job: Job): Promise<INotebookContent> {
    return this.api.get<INotebookContent>(`${path(job)}/output`);
  }

  /** The notebook as it was submitted. */
  notebook(job: Job): Promise<INotebookContent> {
    return this.api.get<INotebookContent>(`${path(job)}/notebook`);
  }

  /** The job's log, which goes on being read while somebody looks at it. */
  log(job: Job): JobLog {
    let log = this._logs.get(job.id);
    if (log === undefined) {
      log = new JobLog(this.api, job.id);
      this._logs.set(job.id, log);
    }
    return log;
  }

  /** What a dataset is called; its id where it is gone or no longer ours to see. */
  datasetName(id: string): Promise<string> {
    let name = this._names.get(id);
    if (name === undefined) {
      name = this.api
        .get<Dataset>(`datasets/${segment(id)}`)
        .then(dataset => dataset.name)
        .catch(() => id);
      this._names.set(id, name);
    }
    return name;
  }

  override dispose(): void {
    clearTimeout(this._poll);
    super.dispose();
  }

  protected override async load(events: readonly Event[] | null): Promise<void> {
    const changed = new Set(events?.map(event => event.subject));
    try {
      if (events === null || changed.size > FEW) {
        this._jobs = await this.api.all<Job>('jobs');
      } else {
        await Promise.all([...changed].map(id => this.fetch(id)));
        await this.loadQueued();
      }
    } finally {
      this.pollQueue();
    }
  }

  /** One that ends moves all that wait. */
  private async loadQueued(): Promise<void> {
    if (this.waiting) {
      const queued = await this.api.all<Job>('jobs', { status: 'queued' });
      queued.forEach(job => this.put(job));
    }
  }

  protected override concerns(event: Event): boolean {
    return event.kind === 'job';
  }

  private async fetch(id: string): Promise<void> {
    try {
      this.put(await this.api.get<Job>(`jobs/${segment(id)}`));
    } catch (error) {
      if (!(error instanceof ProblemError) || error.problem.status !== 404) {
        throw error;
      }
      this.drop(id);
    }
  }

  private added(job: Job): Job {
    this._selected = job.id;
    this.put(job);
    this.tell();
    return job;
  }

  /** Keep what was answered, unless it is not ours: an admin hears of everybody's jobs. */
  private put(job: Job): void {
    if (job.user !== this.info.user) {
      return;
    }
    const others = this._jobs.filter(other => other.id !== job.id);
    this._jobs = [...others, job].sort((one, other) =>
      other.created_at.localeCompare(one.created_at)
    );
    this.tell();
  }

  private drop(id: string): void {
    this._jobs = this._jobs.filter(job => job.id !== id);
  }

  private pollQueue(): void {
    clearTimeout(this._poll);
    if (this.waiting && !this.isDisposed) {
      this._poll = setTimeout(() => void this.update(), QUEUE_POLL_MS);
    }
  }

  private get waiting(): boolean {
    return this._jobs.some(job => job.status === 'queued');
  }

  private _jobs: Job[] = [];
  private _selected: string | null = null;
  private _poll: ReturnType<typeof setTimeout> | undefined;
  private readonly _logs = new Map<string, JobLog>();
  private readonly _names = new Map<string, Promise<string>>();
}

function path(job: Job): string {
  return `jobs/${segment(job.id)}`;
}

function byPosition(one: Job, other: Job): number {
  return (one.position ?? Number.MAX_SAFE_INTEGER) - (other.position ?? Number.MAX_SAFE_INTEGER);
}
