/** A stop that the server went on without, since its node is silent: why it waits, and giving it up. */

import type { ReactElement } from 'react';

import type { Checkpoint } from '../api';
import { confirmed } from '../views/dialog';
import type { Action } from '../views/hooks';
import { TextButton } from '../views/parts';
import type { EnvironmentModel } from './model';

interface LeftProps {
  model: EnvironmentModel;
  checkpoint: Checkpoint;
  action: Action;
}

export function Left({ model, checkpoint, action }: LeftProps): ReactElement {
  return (
    <div className="atoll-Row-details">
      <div role="status" data-testid="atoll-left">
        {checkpoint.message ?? 'It waits for its node.'} You can go on working.
      </div>
      <TextButton
        disabled={action.busy}
        testId="atoll-left-give-up"
        onClick={() => action.run(() => giveUp(model, checkpoint))}
      >
        Give up…
      </TextButton>
    </div>
  );
}

async function giveUp(model: EnvironmentModel, checkpoint: Checkpoint): Promise<void> {
  const sure = await confirmed({
    title: 'Give it up?',
    body: 'What that server changed after its last save is lost then, also when the node comes back. Your home and your other environments stay.',
    accept: 'Give up',
    warn: true
  });
  if (sure) {
    await model.cancel(checkpoint);
  }
}
