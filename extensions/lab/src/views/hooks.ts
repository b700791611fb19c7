/** What views need of React to follow a model, the platform and the time. */

import type { ISignal } from '@lumino/signaling';
import { useEffect, useReducer, useState } from 'react';

import { asProblem, type Problem } from '../api';

/** Render again whenever the signal is emitted. */
export function useChanges(...signals: ISignal<unknown, unknown>[]): void {
  const [, again] = useReducer((number: number) => number + 1, 0);
  useEffect(() => {
    for (const signal of signals) {
      signal.connect(again);
    }
    // What changed between the first rendering and now.
    again();
    return () => {
      for (const signal of signals) {
        signal.disconnect(again);
      }
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the list's length never changes
  }, signals);
}

/** The time now, anew at every interval (milliseconds); null stands still. */
export function useNow(interval: number | null): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    if (interval === null) {
      return;
    }
    const timer = setInterval(() => {
      setNow(new Date());
    }, interval);
    return () => {
      clearInterval(timer);
    };
  }, [interval]);
  return now;
}

/** An action whose failure is shown beside it: `run` never rejects. */
export interface Action {
  busy: boolean;
  problem: Problem | null;
  run: (act: () => Promise<void>) => void;
  dismiss: () => void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = (act: () => Promise<void>): void => {
    setBusy(true);
    setProblem(null);
    act()
      .catch((error: unknown) => {
        setProblem(asProblem(error));
      })
      .finally(() => {
        setBusy(false);
      });
  };
  return { busy, problem, run, dismiss: () => setProblem(null) };
}
