/** The commands of jobs: running a notebook, and what one can do with the chosen job. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { CommandRegistry } from '@lumino/commands';

import { asProblem, type Job } from '../api';
import { ask } from '../connectionlost';
import type { Events } from '../events';
import { runAsJobIcon } from '../views/icons';
import { changeAndRun, hasOutput, remove, type JobActions } from './actions';
import { final } from './describe';
import type { JobsModel } from './model';
import type { Notebooks } from './notebooks';
import type { Source } from './source';

export const CommandIDs = {
  show: 'atoll:show-jobs',
  run: 'atoll:run-as-job',
  runFile: 'atoll:run-file-as-job',
  open: 'atoll:open-job',
  output: 'atoll:open-job-output',
  stop: 'atoll:stop-job',
  again: 'atoll:run-job-again',
  change: 'atoll:change-and-run-job',
  remove: 'atoll:delete-job',
  refresh: 'atoll:refresh-jobs'
};

const NO_ARGUMENTS = { args: { type: 'object', properties: {} } };

/** Told where one looks, as there may be no panel on the screen. */
async function telling(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const { detail, hint } = asProblem(error);
    const told = hint === null ? detail : `${detail} ${hint}`;
    Notification.error(told, { autoClose: false }); // else only a number in the status bar
  }
}

export function addRunCommands(
  app: JupyterFrontEnd,
  parts: {
    model: JobsModel;
    events: Pick<Events, 'state' | 'problem' | 'startPage'>;
    notebooks: Notebooks;
    actions: JobActions;
    browsers: IFileBrowserFactory | null;
  }
): void {
  const { model, events, notebooks, actions, browsers } = parts;
  const run = (find: () => Promise<Source | null>): Promise<void> =>
    telling(async () => {
      if (events.state === 'stopped' && events.problem !== null) {
        await ask(events.problem, events.startPage); // the notebook cannot be saved either
        return;
      }
      const source = await find();
      if (source !== null) {
        actions.openForm(source);
      }
    });
  app.commands.addCommand(CommandIDs.run, {
    label: args => (args.toolbar === true ? 'Run as job' : 'Run the Notebook as a Job…'),
    caption: 'Save this notebook and run it as a job of the platform',
    icon: runAsJobIcon,
    describedBy: { args: { type: 'object', properties: { toolbar: { type: 'boolean' } } } },
    isVisible: () => model.present,
    // The toolbar belongs to a notebook, whichever was used last when it was drawn.
    isEnabled: args => model.present && (args.toolbar === true || notebooks.currentName !== null),
    execute: () => run(() => notebooks.current())
  });
  const chosenFile = (): string | null => {
    const items = [...(browsers?.tracker.currentWidget?.selectedItems() ?? [])];
    const [file] = items;
    return items.length === 1 && file?.type === 'notebook' ? file.path : null;
  };
  app.commands.addCommand(CommandIDs.runFile, {
    label: 'Run as Job…',
    icon: runAsJobIcon,
    describedBy: { args: { type: 'object', properties: { path: { type: 'string' } } } },
    isVisible: () => model.present,
    isEnabled: args => typeof args.path === 'string' || chosenFile() !== null,
    execute: args => {
      const path = (args.path as string | undefined) ?? chosenFile();
      return run(async () => (path === null ? null : notebooks.at(path)));
    }
  });
}

export function addJobCommands(app: JupyterFrontEnd, model: JobsModel, actions: JobActions): void {
  const { commands } = app;
  const add = (
    id: string,
    label: string,
    allowed: (job: Job) => boolean,
    act: (job: Job) => Promise<unknown>
  ): void => {
    commands.addCommand(id, onSelected(model, label, allowed, act));
  };
  add(CommandIDs.output, 'Open the Output of the Chosen Job', hasOutput, job =>
    actions.openOutput(job)
  );
  add(
    CommandIDs.stop,
    'Stop the Chosen Job',
    job => !final(job) && job.target !== 'stopped',
    job => model.stop(job)
  );
  add(
    CommandIDs.again,
    'Run the Chosen Job Again',
    () => true,
    job => model.again(job)
  );
  add(
    CommandIDs.change,
    'Run the Chosen Job Again with Other Values…',
    () => true,
    job => changeAndRun(model, job, actions)
  );
  add(CommandIDs.remove, 'Delete the Chosen Job…', final, job => remove(model, job));
  commands.addCommand(CommandIDs.refresh, {
    label: 'Refresh Jobs',
    describedBy: NO_ARGUMENTS,
    isEnabled: () => model.present,
    execute: () => model.refresh()
  });
  model.changed.connect(() => {
    for (const id of [CommandIDs.output, CommandIDs.stop, CommandIDs.remove]) {
      commands.notifyCommandChanged(id);
    }
  });
}

function onSelected(
  model: JobsModel,
  label: string,
  allowed: (job: Job) => boolean,
  act: (job: Job) => Promise<unknown>
): CommandRegistry.ICommandOptions {
  return {
    label,
    describedBy: NO_ARGUMENTS,
    isEnabled: () => model.selected !== null && allowed(model.selected),
    execute: async () => {
      const job = model.selected;
      if (job !== null) {
        await telling(() => act(job));
      }
    }
  };
}
