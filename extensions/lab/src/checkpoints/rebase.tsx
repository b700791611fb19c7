/** Rebasing a checkpoint: asks once, shows how far it is, says what is too old to start. */

import type { ReactElement } from 'react';

import type { Checkpoint } from '../api';
import { confirmed } from '../views/dialog';
import type { Action } from '../views/hooks';
import { TextButton } from '../views/parts';
import { name } from './describe';
import type { EnvironmentModel } from './model';

interface RebaseProps {
  model: EnvironmentModel;
  checkpoint: Checkpoint;
  action: Action;
}

export async function rebase(model: EnvironmentModel, checkpoint: Checkpoint): Promise<void> {
  const sure = await confirmed({
    title: 'Rebase?',
    body: `The packages of ${name(checkpoint, new Date())} are installed over the platform’s newest base, by a job of yours, compared and tried. What comes of it is a checkpoint of its own, which says what could not be brought over. This one stays as it is, and so does your server.`,
    accept: 'Rebase'
  });
  if (sure) {
    await model.rebase(checkpoint);
  }
}

/** Why no server starts from it any more, and the way out. */
export function TooOld({ model, checkpoint, action }: RebaseProps): ReactElement | null {
  if (checkpoint.too_old === null) {
    return null;
  }
  return (
    <div className="atoll-Notice" role="note" data-testid="atoll-too-old">
      <div>It does not start any more. {checkpoint.too_old}</div>
      <TextButton
        disabled={action.busy}
        testId="atoll-rebase"
        onClick={() => action.run(() => rebase(model, checkpoint))}
      >
        Rebase…
      </TextButton>
    </div>
  );
}

/** A rebase that goes on: what it is at, and stopping it. */
export function Rebasing({ model, checkpoint, action }: RebaseProps): ReactElement {
  return (
    <div className="atoll-Row-details">
      <div role="status" data-testid="atoll-rebasing">
        {checkpoint.message ?? 'It goes on.'} You can go on working.
      </div>
      <TextButton
        disabled={action.busy}
        testId="atoll-rebase-cancel"
        onClick={() => action.run(() => model.cancel(checkpoint))}
      >
        Cancel
      </TextButton>
    </div>
  );
}
