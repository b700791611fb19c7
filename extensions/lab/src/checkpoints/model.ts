/** This server's environment: what changed since it was saved, and what it can go back to. */

import {
  asProblem,
  SERVER_STOPPED,
  segment,
  type Api,
  type Changes,
  type Checkpoint,
  type CheckpointEdit,
  type Elsewhere,
  type Info,
  type Server
} from '../api';
import type { Event, Events } from '../events';
import { LiveModel } from '../live';

/** How URLs spell the default server, whose name in JupyterHub is empty. */
const DEFAULT_SERVER = '-';

/** Reasons to wait that pass by themselves. */
const IN_LINE = new Set(['its_turn', 'node_busy', 'cluster_busy', 'server_busy']);

export const FINAL: ReadonlySet<Checkpoint['status']> = new Set<Checkpoint['status']>([
  'ready',
  'refused',
  'failed'
]);

export class EnvironmentModel extends LiveModel {
  constructor(
    api: Api,
    events: Events,
    private readonly info: Info
  ) {
    super(api, events);
  }

  /** Whether there is a platform to keep this environment at all. */
  get present(): boolean {
    return this.info.present;
  }

  get server(): Server | null {
    return this._server;
  }

  /** Newest first; those that are not finished too. */
  get checkpoints(): readonly Checkpoint[] {
    return this._checkpoints;
  }

  /** What others share with this person, newest first. */
  get shared(): readonly Checkpoint[] {
    return this._shared;
  }

  /** What lies in the home instead, and is in no checkpoint; null where that cannot be told. */
  get elsewhere(): Elsewhere | null {
    return this._elsewhere;
  }

  /** Whose environment this server began with, where that is another's and nothing was saved since. */
  get lentBy(): string | null {
    const digest = this._server?.environment ?? null;
    const own = this._checkpoints.some(one => one.digest === digest && one.user === this.info.user);
    return own ? null : (this._shared.find(one => one.digest === digest)?.user ?? null);
  }

  /** The checkpoint that is being made now, if any. */
  get saving(): Checkpoint | null {
    return this.saves.find(one => !FINAL.has(one.status) && !unbegun(one)) ?? null;
  }

  /** The checkpoints without that one. */
  get made(): Checkpoint[] {
    return this._checkpoints.filter(one => one !== this.saving && !unbegun(one));
  }

  /** Why the checkpoint that is being made does not go on, where something is wrong. */
  get heldUp(): string | null {
    const reason = this.saving?.reason ?? null;
    return reason === null || IN_LINE.has(reason) ? null : (this.saving?.message ?? null);
  }

  /** The newest checkpoint, where somebody asked for it, it failed, and nothing was saved since. */
  get failed(): Checkpoint | null {
    return this.unmade?.trigger === 'automatic' ? null : this.unmade;
  }

  /** The same, where nobody asked for it: it is tried again, and no cause for alarm. */
  get missed(): Checkpoint | null {
    return this.unmade?.trigger === 'automatic' ? this.unmade : null;
  }

  /** The checkpoint that the server is at. */
  get current(): Checkpoint | null {
    return this._checkpoints.find(checkpoint => checkpoint.current) ?? null;
  }

  /** How many changes are not saved: packages, and directories that hold none. */
  get unsaved(): number {
    const changes = this._server?.unsaved;
    return changes == null ? 0 : changes.packages.length + changes.directories.length;
  }

  /** What the next start continues from, where the person chose something else than this. */
  get chosen(): { digest: string; checkpoint: Checkpoint | null } | null {
    const digest = this._server?.continues_from ?? null;
    if (digest === null || digest === this._server?.environment) {
      return null;
    }
    const checkpoint = this._checkpoints.find(one => one.digest === digest) ?? null;
    return { digest, checkpoint };
  }

  /** Save it; the answer is whether there was anything new to save, or to name. */
  async save(note: string): Promise<boolean> {
    const before = new Map(this._checkpoints.map(one => [one.id, one.note]));
    const saved = await this.api.post<Checkpoint>('checkpoints', { server: this.segment, note });
    await this.refresh();
    const now = this.byId(saved.id);
    // A save in which nothing had changed is not listed.
    return now !== null && (now.status !== 'ready' || before.get(now.id) !== now.note);
  }

  /** Let the next start continue from the checkpoint. */
  async goBack(checkpoint: Checkpoint): Promise<void> {
    await this.api.post<Server>(`checkpoints/${segment(checkpoint.id)}/restore`, { stop: false });
    await this.refresh();
  }

  /** Have the server stopped, which is the very server that passes this call on. */
  async stop(): Promise<void> {
    try {
      await this.api.post<Server>(`${this.path}/stop`);
    } catch (error) {
      const { status, code } = asProblem(error);
      if (status !== 0 && status !== 503 && code !== SERVER_STOPPED) {
        throw error;
      }
      // It ended before it could pass the answer on, which is what was asked for.
    }
  }

  /** Take back a choice to go back. */
  async stay(): Promise<void> {
    await this.api.delete(`${this.path}/continuation`);
    await this.refresh();
  }

  /** Have what it has installed over the newest base, as a checkpoint of its own. */
  async rebase(checkpoint: Checkpoint): Promise<void> {
    await this.api.post<Checkpoint>(`checkpoints/${segment(checkpoint.id)}/rebase`);
    await this.refresh();
  }

  /** Stop a rebase that goes on. */
  async cancel(checkpoint: Checkpoint): Promise<void> {
    await this.api.post<Checkpoint>(`checkpoints/${segment(checkpoint.id)}/cancel`);
    await this.refresh();
  }

  async edit(checkpoint: Checkpoint, edit: CheckpointEdit): Promise<void> {
    await this.api.patch(`checkpoints/${segment(checkpoint.id)}`, edit);
    await this.refresh();
  }

  /** Let `user:NAME`, `group:NAME` or `everyone` start from it; gives it as it is then. */
  async share(checkpoint: Checkpoint, principal: string): Promise<Checkpoint> {
    const shared = await this.api.put<Checkpoint>(grant(checkpoint, principal), {});
    await this.refresh();
    return shared;
  }

  /** Share it with them no more. */
  async takeBack(checkpoint: Checkpoint, principal: string): Promise<void> {
    await this.api.delete(grant(checkpoint, principal));
    await this.refresh();
  }

  /** The checkpoint of this id as it is now. */
  byId(id: string): Checkpoint | null {
    return this._checkpoints.find(one => one.id === id) ?? null;
  }

  async remove(checkpoint: Checkpoint): Promise<void> {
    await this.api.delete(`checkpoints/${segment(checkpoint.id)}`);
    await this.refresh();
  }

  /** What differs between the checkpoint and the one it was made from, or its base. */
  changes(checkpoint: Checkpoint, against: 'parent' | 'base'): Promise<Changes> {
    return this.api.get<Changes>(`checkpoints/${segment(checkpoint.id)}/changes`, { against });
  }

  /** The checkpoint's packages as a requirements file. */
  requirements(checkpoint: Checkpoint): Promise<string> {
    return this.api.text(`checkpoints/${segment(checkpoint.id)}/requirements`);
  }

  protected override async load(): Promise<void> {
    void this.look();
    const [server, checkpoints, shared] = await Promise.all([
      this.api.get<Server>(this.path),
      this.api.all<Checkpoint>('checkpoints', { user: this.info.user, server: this.segment }),
      this.api.all<Checkpoint>('checkpoints', { shared: true })
    ]);
    this._shared = shared.filter(one => one.user !== this.info.user);
    this._server = server;
    this._checkpoints = checkpoints;
  }

  protected override concerns(event: Event): boolean {
    return event.kind === 'checkpoint' || event.kind === 'server';
  }

  /** Look at the home, for which nothing waits: it may be on a network, and not answer. */
  private async look(): Promise<void> {
    try {
      this._elsewhere = await this.api.elsewhere();
    } catch {
      return; // the rest is worth showing without it
    }
    this.tell();
  }

  /** The checkpoints that save this server: a rebase saves none, one that was left an earlier one. */
  private get saves(): readonly Checkpoint[] {
    return this._checkpoints.filter(({ trigger, left }) => trigger !== 'rebase' && !left);
  }

  private get unmade(): Checkpoint | null {
    const [newest] = this.saves;
    if (newest === undefined || (newest.status !== 'failed' && newest.status !== 'refused')) {
      return null;
    }
    const saved = this._server?.saved_at ?? null;
    return saved !== null && new Date(saved) > new Date(newest.created_at) ? null : newest;
  }

  private get segment(): string {
    return this.info.server === '' ? DEFAULT_SERVER : this.info.server;
  }

  private get path(): string {
    return `servers/${segment(this.info.user)}/${segment(this.segment)}`;
  }

  private _server: Server | null = null;
  private _checkpoints: Checkpoint[] = [];
  private _shared: Checkpoint[] = [];
  private _elsewhere: Elsewhere | null = null;
}

/** Whether nobody asked for it and nobody has begun it: it shows once it is under way. */
function unbegun({ trigger, status }: Checkpoint): boolean {
  return trigger === 'automatic' && status === 'requested';
}

function grant(checkpoint: Checkpoint, principal: string): string {
  return `checkpoints/${segment(checkpoint.id)}/grants/${segment(principal)}`;
}
