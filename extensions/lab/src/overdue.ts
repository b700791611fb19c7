/** What the platform was asked and has not answered for so long that a person should be told. */

import { Signal, type ISignal } from '@lumino/signaling';

/** Below it one waits without wondering; a look at several things takes a second on a busy platform. */
const PATIENCE_MS = 3000;

export class Overdue {
  constructor(private readonly patience = PATIENCE_MS) {}

  /** Whether an answer is overdue has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Whether an answer is. */
  get any(): boolean {
    return this._late > 0;
  }

  /** Something is waited for from now on; call what this returns when it has come, or is given up. */
  begin(): () => void {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.count(1);
    }, this.patience);
    return () => {
      clearTimeout(timer);
      if (late) {
        late = false;
        this.count(-1);
      }
    };
  }

  private count(step: 1 | -1): void {
    const before = this.any;
    this._late += step;
    if (before !== this.any) {
      this._changed.emit();
    }
  }

  private _late = 0;
  private readonly _changed = new Signal<this, void>(this);
}
