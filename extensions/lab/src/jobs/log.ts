/** A job's log, read piece by piece for as long as somebody looks at it. */

import { Signal, type ISignal } from '@lumino/signaling';

import { asProblem, segment, type Api, type LogChunk, type Problem } from '../api';

/** How often one looks for more, while the job goes on. */
const POLL_MS = 1_000;

/** A piece at least this long (bytes) is probably not the last one: the next is read at once. */
const LONG = 16 * 1024;

/** How long one waits where the last answer was none. */
const RETRY_MS = 5_000;

/** Characters that are kept: a log may be of any size, a page may not. */
const MOST = 256 * 1024;

export class JobLog {
  constructor(
    private readonly api: Api,
    private readonly id: string
  ) {}

  /** There is more, or it is complete, or it cannot be read. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The log as far as it was read: its end, where it is long. */
  get text(): string {
    return this._text;
  }

  /** Whether its beginning was left out. */
  get cut(): boolean {
    return this._cut;
  }

  /** Whether nothing more will come. */
  get complete(): boolean {
    return this._complete;
  }

  /** Why it could not be read the last time. */
  get problem(): Problem | null {
    return this._problem;
  }

  /** Read on until the log is complete; returns the function that ends it. */
  follow(): () => void {
    this._readers++;
    if (this._readers === 1) {
      this.readOn(++this._round);
    }
    let following = true;
    return () => {
      if (following) {
        following = false;
        this._readers--;
      }
    };
  }

  private readOn(round: number): void {
    void this.read().then(pause => {
      // Who left and came back began a round of their own.
      const wanted = () => this._readers > 0 && this._round === round && !this._complete;
      if (wanted()) {
        setTimeout(() => {
          if (wanted()) {
            this.readOn(round);
          }
        }, pause);
      }
    });
  }

  /** Read the next piece; the answer is how long to wait for the one after it, in milliseconds. */
  private async read(): Promise<number> {
    if (this._complete) {
      return 0;
    }
    const offset = this._offset;
    let pause: number;
    try {
      const chunk = await this.api.get<LogChunk>(`jobs/${segment(this.id)}/log`, { offset });
      if (offset !== this._offset) {
        return POLL_MS; // another round has read this piece meanwhile
      }
      this.take(chunk);
      pause = chunk.next_offset - offset >= LONG ? 0 : POLL_MS;
    } catch (error) {
      this._problem = asProblem(error);
      pause = RETRY_MS;
    }
    this._changed.emit();
    return pause;
  }

  private take(chunk: LogChunk): void {
    this._problem = null;
    this._offset = chunk.next_offset;
    this._complete = chunk.complete;
    const text = this._text + chunk.text;
    this._cut = this._cut || text.length > MOST;
    this._text = text.length > MOST ? fromLineStart(text.slice(-MOST)) : text;
  }

  private _text = '';
  private _cut = false;
  private _offset = 0;
  private _complete = false;
  private _problem: Problem | null = null;
  private _readers = 0;
  private _round = 0;
  private readonly _changed = new Signal<this, void>(this);
}

function fromLineStart(text: string): string {
  return text.slice(text.indexOf('\n') + 1);
}

// Escape sequences of terminals: colours and cursor movements (CSI), titles and links (OSC), others.
// eslint-disable-next-line no-control-regex -- these are control characters
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g;

/** What a terminal would show of the text: without colours, progress bars as they were last. */
export function plain(text: string): string {
  return text
    .replace(ESCAPES, '')
    .replace(/\r+\n/g, '\n')
    .split('\n')
    .map(line => line.slice(line.lastIndexOf('\r', line.length - 2) + 1).replace(/\r$/, ''))
    .join('\n');
}
