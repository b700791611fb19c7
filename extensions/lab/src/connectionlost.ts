/** What is said when the lab has lost its server: once, and not where a panel of ours says it already. */

import {
  ConnectionLost,
  IConnectionLost,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Dialog, showDialog } from '@jupyterlab/apputils';

import { SERVER_AWAY, SERVER_STOPPED, type Problem } from './api';
import type { Events } from './events';
import { IPlatform } from './platform';
import { PanelWidget } from './views/widget';

/** JupyterLab tells of every request that fails, for as long as the server is gone. */
export class Outage {
  /**
   * @param said whether the person sees it already
   * @param tell interrupt the person with it
   */
  constructor(
    private readonly events: Events,
    private readonly said: () => boolean,
    private readonly tell: (problem: Problem) => Promise<void>
  ) {
    events.stateChanged.connect(() => {
      this._told &&= this.problem !== null;
    });
  }

  /** A request of JupyterLab's failed. */
  async onFailure(): Promise<void> {
    const { problem } = this;
    if (problem === null || this._told) {
      return; // one that failed by chance, where we know of no outage
    }
    this._told = true;
    if (!this.said()) {
      await this.tell(problem);
    }
  }

  /** Why the server does not answer; null where it does, as far as is known. */
  private get problem(): Problem | null {
    const { silent, problem } = this.events;
    const outage = problem?.code === SERVER_STOPPED || problem?.code === SERVER_AWAY;
    return silent && outage ? problem : null;
  }

  private _told = false;
}

/** In the place of the hub's own, which asks again at every request that fails. */
export const connectionLostPlugin: JupyterFrontEndPlugin<IConnectionLost> = {
  id: '@atoll/lab:connection-lost',
  description: 'Says once that the server is stopped, or cannot be reached.',
  autoStart: true,
  provides: IConnectionLost,
  activate: (app: JupyterFrontEnd): IConnectionLost => {
    // The lab's start waits for this plugin, and not for an answer of the server to ours.
    const outage = app.resolveRequiredService(IPlatform).then(({ events, info }) =>
      info.present
        ? new Outage(
            events,
            () => panelShown(app),
            problem => ask(problem, events.startPage)
          )
        : null
    );
    return async (...failure) => {
      const ours = await outage;
      await (ours === null ? ConnectionLost(...failure) : ours.onFailure());
    };
  }
};

/** Whether there is a panel of ours on the screen: each says it, and leads to the start. */
function panelShown(app: JupyterFrontEnd): boolean {
  return ['left', 'right'].some(area =>
    Array.from(app.shell.widgets(area)).some(
      widget => widget instanceof PanelWidget && widget.isVisible
    )
  );
}

/** Say why the server does not answer, and lead to its start where it is stopped. */
export async function ask(problem: Problem, startPage: string): Promise<void> {
  const dismiss = Dialog.cancelButton({ label: 'Dismiss' });
  const start = Dialog.okButton({ label: 'Start it again' });
  const { button } = await showDialog({
    title: problem.title,
    body: problem.hint === null ? problem.detail : `${problem.detail} ${problem.hint}`,
    buttons: problem.code === SERVER_STOPPED ? [dismiss, start] : [dismiss]
  });
  if (button.accept) {
    window.open(startPage, '_blank'); // what is not saved in this tab stays in it
  }
}
