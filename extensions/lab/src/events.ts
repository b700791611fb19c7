/** What changes on the platform, as it happens: one WebSocket of this tab to its own server. */

import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { SERVER_STOPPED, whySilent, type Problem } from './api';
import { Overdue } from './overdue';

export type EventKind = 'server' | 'checkpoint' | 'job' | 'dataset';

/** Something changed: fetch `subject` anew. */
export interface Event {
  id: number;
  kind: EventKind;
  /** The thing's id; for servers `USER/NAME`. */
  subject: string;
  change: 'created' | 'changed' | 'removed';
}

/** `away`: the platform, or the way to it. `stopped`: this server, so that nobody can be asked. */
export type State = 'connecting' | 'connected' | 'away' | 'stopped';

type Message =
  | { type: 'connected' }
  | { type: 'disconnected'; problem: Problem }
  | { type: 'reset' }
  | { type: 'event'; event: Event };

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;

export class Events implements IDisposable {
  /**
   * @param startPage the hub's page that starts the server again
   * @param overdue what the platform was asked, by us and by others
   * @param delay how long to wait before attempt `n` (from 0) to connect again, in milliseconds
   */
  constructor(
    private readonly settings: ServerConnection.ISettings,
    readonly startPage: string,
    readonly overdue = new Overdue(),
    private readonly delay: (attempt: number) => number = backOff
  ) {}

  /** One thing changed. */
  get changed(): ISignal<this, Event> {
    return this._changed;
  }

  /** Anything may have changed: load all that is shown anew. Also told once at the beginning. */
  get reload(): ISignal<this, void> {
    return this._reload;
  }

  /** Whether the platform is there has changed. */
  get stateChanged(): ISignal<this, State> {
    return this._stateChanged;
  }

  get state(): State {
    return this._state;
  }

  /** Whether nobody can be asked now. */
  get silent(): boolean {
    return this._state === 'away' || this._state === 'stopped';
  }

  /** Why the platform is away, where it is. */
  get problem(): Problem | null {
    return this._problem;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  connect(): void {
    const { wsUrl, token, appendToken, WebSocket } = this.settings;
    let url = URLExt.join(wsUrl, 'atoll/events');
    if (appendToken && token !== '') {
      url += `?token=${encodeURIComponent(token)}`;
    }
    const socket = new WebSocket(url);
    const answered = this.overdue.begin();
    let told = false;
    socket.onmessage = (message: MessageEvent<string>) => {
      this._attempt = 0;
      this._heard++;
      const said = JSON.parse(message.data) as Message;
      const first = !told;
      told = true;
      answered();
      this.hear(said, first);
    };
    socket.onerror = () => undefined; // its close follows, and says all that is to be said
    socket.onclose = () => {
      answered();
      if (this._isDisposed) {
        return;
      }
      void this.findOut();
      this._timer = setTimeout(() => {
        this.connect();
      }, this.delay(this._attempt++));
    };
    this._socket = socket;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    clearTimeout(this._timer);
    this._socket?.close();
    Signal.clearData(this);
  }

  /** Tell why the connection is gone, unless it is back meanwhile. */
  private async findOut(): Promise<void> {
    const heard = this._heard;
    const problem = await whySilent(this.settings);
    if (heard === this._heard && !this._isDisposed) {
      this.become(problem.code === SERVER_STOPPED ? 'stopped' : 'away', problem);
    }
  }

  private hear(message: Message, first: boolean): void {
    switch (message.type) {
      case 'connected':
        this.become('connected', null);
        // Whatever was missed while nobody told us is in what we load now.
        this._reload.emit();
        break;
      case 'disconnected':
        this.become('away', message.problem);
        if (first) {
          this._reload.emit();
        }
        break;
      case 'reset':
        this._reload.emit();
        break;
      case 'event':
        this._changed.emit(message.event);
        break;
    }
  }

  private become(state: State, problem: Problem | null): void {
    const changed = state !== this._state || problem?.detail !== this._problem?.detail;
    this._state = state;
    this._problem = problem;
    if (changed) {
      this._stateChanged.emit(state);
    }
  }

  private _state: State = 'connecting';
  private _problem: Problem | null = null;
  private _attempt = 0;
  private _heard = 0;
  private _socket: WebSocket | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _isDisposed = false;
  private readonly _changed = new Signal<this, Event>(this);
  private readonly _reload = new Signal<this, void>(this);
  private readonly _stateChanged = new Signal<this, State>(this);
}

/** Doubling, with a random part so that many tabs do not come back at the same moment. */
function backOff(attempt: number): number {
  const longest = Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
  return longest * (0.75 + Math.random() / 2);
}
