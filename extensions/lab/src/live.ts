/** What a model of a panel is: loads, stays current by events, and tells when it has changed. */

import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { asProblem, type Api, type Problem } from './api';
import type { Event, Events } from './events';

/** Events come in bursts (a job's cells, a save's progress); one load answers all of a burst. */
const BURST_MS = 200;

export abstract class LiveModel implements IDisposable {
  constructor(
    protected readonly api: Api,
    protected readonly events: Events
  ) {}

  /** Something that a view shows has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Whether there was a first answer, good or bad. */
  get loaded(): boolean {
    return this._loaded;
  }

  /** Why the last load failed, where it did; what was loaded before stays. */
  get problem(): Problem | null {
    return this._problem;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Load, and stay current from now on. Does nothing the second time. */
  start(): void {
    if (this._started || this._isDisposed) {
      return;
    }
    this._started = true;
    this.events.changed.connect(this.onEvent, this);
    this.events.reload.connect(this.onReload, this);
    if (this.events.state !== 'connecting') {
      void this.refresh();
    }
  }

  /** Load all anew. Calls meanwhile are answered by one more load, however many they were. */
  refresh(): Promise<void> {
    this._everything = true;
    return this.next();
  }

  /** Load what is not known to be current, without waiting for an event. */
  protected update(): Promise<void> {
    return this.next();
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    clearTimeout(this._timer);
    Signal.clearData(this);
  }

  /**
   * Fetch what the model holds; throws a ProblemError where that fails.
   *
   * @param events what happened since the last load; null where anything may have changed
   */
  protected abstract load(events: readonly Event[] | null): Promise<void>;

  /** Whether the event is about what the model holds. */
  protected abstract concerns(event: Event): boolean;

  protected tell(): void {
    this._changed.emit();
  }

  private next(): Promise<void> {
    clearTimeout(this._timer);
    this._timer = undefined;
    this._next ??= this._loading.then(() => {
      this._next = null;
      this._loading = this.loadOnce();
      return this._loading;
    });
    return this._next;
  }

  private async loadOnce(): Promise<void> {
    if (this._isDisposed) {
      return;
    }
    const events = this._everything ? null : this._burst;
    this._everything = false;
    this._burst = [];
    try {
      await this.load(events);
      this._problem = null;
    } catch (error) {
      this._problem = asProblem(error);
      this._everything = true; // what these events told is still unknown
    }
    this._loaded = true;
    this.tell(); // a model disposed meanwhile has no listeners any more
  }

  private onEvent(_: Events, event: Event): void {
    if (this.concerns(event)) {
      this._burst.push(event);
      this._timer ??= setTimeout(() => void this.next(), BURST_MS);
    }
  }

  private onReload(): void {
    void this.refresh();
  }

  private _started = false;
  private _loaded = false;
  private _isDisposed = false;
  private _problem: Problem | null = null;
  private _everything = true;
  private _burst: Event[] = [];
  private _loading: Promise<void> = Promise.resolve();
  private _next: Promise<void> | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private readonly _changed = new Signal<this, void>(this);
}
