/** Going back to a checkpoint: asks once, says what is set aside, restarts now or later. */

import { Dialog, showDialog } from '@jupyterlab/apputils';

import type { Checkpoint } from '../api';
import { confirmed } from '../views/dialog';
import { plural } from '../views/format';
import { name } from './describe';
import type { EnvironmentModel } from './model';

const LATER = 'At the next start';
const NOW = 'Restart now';

/** What going back needs of the lab around it. */
export interface Surroundings {
  /** Save every open document. */
  saveAll: () => Promise<unknown>;
  /** Leave the lab for the page that starts the server again, once this one has stopped. */
  restart: () => Promise<void>;
}

export async function goBack(
  model: EnvironmentModel,
  checkpoint: Checkpoint,
  { saveAll, restart }: Surroundings
): Promise<void> {
  const aside = model.unsaved > 0 ? `, with its ${plural(model.unsaved, 'unsaved change')},` : '';
  const answer = await showDialog({
    title: 'Go back?',
    body: (
      <div className="atoll-GoBack">
        <p>The server will continue from {name(checkpoint, new Date())}.</p>
        <p>
          The environment you have now{aside} is saved as a checkpoint first, so you can come back
          to it. Your files stay as they are.
        </p>
        <p>
          Restarting ends running kernels and terminals; jobs go on. You are taken to the start
          page, where this is chosen already.
        </p>
      </div>
    ),
    buttons: [
      Dialog.cancelButton(),
      Dialog.okButton({ label: LATER, className: 'atoll-mod-later' }),
      Dialog.warnButton({ label: NOW })
    ],
    defaultButton: 1
  });
  if (!answer.button.accept) {
    return;
  }
  const later = answer.button.label === LATER;
  if (!later) {
    await saveAll();
  }
  await model.goBack(checkpoint);
  if (!later) {
    await model.stop();
    await restart();
  }
}

/** Leave what was installed for the base alone; that is chosen where the server is started. */
export async function startFresh(
  model: EnvironmentModel,
  { saveAll, restart }: Surroundings
): Promise<void> {
  const aside = model.unsaved > 0 ? `, with its ${plural(model.unsaved, 'unsaved change')},` : '';
  const sure = await confirmed({
    title: 'Start fresh?',
    body: (
      <div className="atoll-GoBack">
        <p>
          The server stops, which ends running kernels and terminals; jobs go on. You are taken to
          the start page: choose <strong>Start fresh</strong> there.
        </p>
        <p>
          The environment you have now{aside} is saved as a checkpoint, so you can come back to it.
          Your files stay as they are.
        </p>
      </div>
    ),
    accept: 'Stop, and to the start page',
    warn: true
  });
  if (sure) {
    await saveAll();
    await model.stop();
    await restart();
  }
}

/** Wait until the server no longer answers, or for as long as a stop should take at most. */
export async function stopped(
  answers: () => Promise<unknown>,
  pause: () => Promise<void>,
  attempts = 40
): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      await answers();
    } catch {
      return; // it is gone, which is what is waited for
    }
    await pause();
  }
}
