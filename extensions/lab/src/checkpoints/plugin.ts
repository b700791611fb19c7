/** Puts the environment into the lab: the panel, the status bar's item, commands. */

import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { createElement } from 'react';

import { asProblem, startPage } from '../api';
import { IPlatform } from '../platform';
import { environmentIcon } from '../views/icons';
import { PanelWidget } from '../views/widget';
import { goBack, startFresh, stopped, type Surroundings } from './goback';
import { EnvironmentModel } from './model';
import { EnvironmentPanel } from './panel';
import { StatusItem } from './status';

const PANEL = 'atoll-environment';
const STOP_POLL_MS = 750;

export const CommandIDs = {
  show: 'atoll:show-environment',
  save: 'atoll:save-environment'
};

export const checkpointsPlugin: JupyterFrontEndPlugin<void> = {
  id: '@atoll/lab:checkpoints',
  description: 'The Environment panel and its item in the status bar.',
  autoStart: true,
  requires: [IPlatform],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, IStatusBar],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    statusBar: IStatusBar | null
  ) => {
    const { api, events, info } = platform;
    const model = new EnvironmentModel(api, events, info);
    const surroundings = surroundingsOf(app, platform);
    const panel = new PanelWidget({
      id: PANEL,
      label: 'Environment',
      icon: environmentIcon,
      view: () =>
        createElement(EnvironmentPanel, {
          model,
          events,
          goBack: checkpoint => goBack(model, checkpoint, surroundings),
          startFresh: () => startFresh(model, surroundings),
          write: async (path, text) => {
            await app.serviceManager.contents.save(path, {
              type: 'file',
              format: 'text',
              content: text
            });
            await app.commands.execute('docmanager:open', { path });
          }
        })
    });
    app.shell.add(panel, 'left', { rank: 310, type: 'Atoll' });
    restorer?.add(panel, PANEL);

    const show = (): void => (shell ?? app.shell).activateById(PANEL);
    addCommands(app, model, show);
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: 'Atoll' });
    }
    statusBar?.registerStatusItem('@atoll/lab:status', {
      item: new StatusItem({ model, events, onClick: show }),
      align: 'left',
      rank: 10
    });
    if (info.present) {
      model.start();
    }
  }
};

function addCommands(app: JupyterFrontEnd, model: EnvironmentModel, show: () => void): void {
  app.commands.addCommand(CommandIDs.show, {
    label: 'Show Environment',
    icon: environmentIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: show
  });
  app.commands.addCommand(CommandIDs.save, {
    label: 'Save the Environment Now…',
    describedBy: { args: { type: 'object', properties: { note: { type: 'string' } } } },
    isEnabled: () => model.present,
    execute: async args => {
      let note = args.note as string | undefined;
      if (note === undefined) {
        const answer = await InputDialog.getText({
          title: 'Save the environment',
          label: 'Note (optional)',
          okLabel: 'Save now'
        });
        if (!answer.button.accept) {
          return;
        }
        note = answer.value ?? '';
      }
      try {
        await model.save(note);
        show();
      } catch (error) {
        const { detail, hint } = asProblem(error);
        Notification.error(hint === null ? detail : `${detail} ${hint}`, { autoClose: false });
      }
    }
  });
}

function surroundingsOf(app: JupyterFrontEnd, { api, info }: IPlatform): Surroundings {
  const pause = (): Promise<void> => new Promise(resolve => setTimeout(resolve, STOP_POLL_MS));
  return {
    saveAll: () => app.commands.execute('docmanager:save-all'),
    restart: async () => {
      void showDialog({
        title: 'Stopping the server…',
        body: 'Its environment is saved meanwhile. You are taken to the page that starts it again.',
        buttons: [],
        hasClose: false
      });
      await stopped(() => api.info(), pause);
      window.location.assign(startPage(info));
    }
  };
}
