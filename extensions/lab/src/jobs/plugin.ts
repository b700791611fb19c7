/** Puts the jobs into the lab: the panel, tabs, "Run as job", commands, settings. */

import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { createElement, type ReactElement } from 'react';

import { IPlatform } from '../platform';
import { showForm } from '../views/dialog';
import { useAction } from '../views/hooks';
import { jobsIcon } from '../views/icons';
import { PanelWidget } from '../views/widget';
import type { JobActions } from './actions';
import { addJobCommands, addRunCommands, CommandIDs } from './commands';
import { JobTab } from './details';
import { RunForm } from './form';
import { JobsModel } from './model';
import { Notebooks } from './notebooks';
import { writeOutput } from './output';
import { JobsPanel } from './panel';
import type { Source } from './source';

const PANEL = 'atoll-jobs';
const PLUGIN = '@atoll/lab:jobs';
const OUTPUT_FOLDER = 'atoll-outputs';

type Tabs = WidgetTracker<MainAreaWidget<PanelWidget>>;

export const jobsPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: 'The Jobs panel, and running notebooks as jobs.',
  autoStart: true,
  requires: [IPlatform, INotebookTracker, IDocumentManager],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, IFileBrowserFactory, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    { api, events, info }: IPlatform,
    tracker: INotebookTracker,
    documents: IDocumentManager,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    browsers: IFileBrowserFactory | null,
    registry: ISettingRegistry | null
  ) => {
    const model = new JobsModel(api, events, info);
    const notebooks = new Notebooks(tracker, documents);
    const outputFolder = followedFolder(registry);
    const tabs: Tabs = new WidgetTracker({ namespace: 'atoll-job' });
    const show = (): void => (shell ?? app.shell).activateById(PANEL);
    const actions: JobActions = {
      openOutput: async job => {
        const path = await writeOutput(app.serviceManager.contents, outputFolder(), job, () =>
          model.output(job)
        );
        await app.commands.execute('docmanager:open', { path });
      },
      openForm: source => void showRunForm(model, source, show),
      openWide: job => void app.commands.execute(CommandIDs.open, { id: job.id, name: job.name })
    };

    const panel = new PanelWidget({
      id: PANEL,
      label: 'Jobs',
      icon: jobsIcon,
      view: () =>
        createElement(JobsPanel, {
          model,
          events,
          actions,
          notebook: {
            name: () => notebooks.currentName,
            run: () => void app.commands.execute(CommandIDs.run),
            changed: tracker.currentChanged
          }
        }),
      onShow: () => {
        if (info.present) {
          model.start();
        }
      }
    });
    app.shell.add(panel, 'left', { rank: 320, type: 'Atoll' });
    restorer?.add(panel, PANEL);

    app.commands.addCommand(CommandIDs.show, {
      label: 'Show Jobs',
      icon: jobsIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: show
    });
    addRunCommands(app, { model, events, notebooks, actions, browsers });
    addJobCommands(app, model, actions);
    addTabCommand(app, tabs, model, actions);
    for (const command of Object.values(CommandIDs)) {
      if (command !== CommandIDs.open && command !== CommandIDs.runFile) {
        palette?.addItem({ command, category: 'Atoll' });
      }
    }
    void restorer?.restore(tabs, {
      command: CommandIDs.open,
      args: widget => ({
        id: widget.content.id.slice(tabId('').length),
        name: widget.title.label
      }),
      name: widget => widget.content.id
    });
  }
};

async function showRunForm(model: JobsModel, source: Source, show: () => void): Promise<void> {
  await showForm('Run as job', close =>
    createElement(RunForm, { model, source, close, submitted: show })
  );
}

/** The settings' folder for output notebooks, as it is now. */
function followedFolder(registry: ISettingRegistry | null): () => string {
  let folder = OUTPUT_FOLDER;
  registry
    ?.load(PLUGIN)
    .then(settings => {
      const take = (): void => {
        folder = settings.get('outputFolder').composite as string;
      };
      settings.changed.connect(take);
      take();
    })
    .catch((error: unknown) => {
      console.warn(`Atoll: the settings cannot be read; outputs go to ${OUTPUT_FOLDER}.`, error);
    });
  return () => folder;
}

function addTabCommand(
  app: JupyterFrontEnd,
  tabs: Tabs,
  model: JobsModel,
  actions: JobActions
): void {
  app.commands.addCommand(CommandIDs.open, {
    label: 'Open Job',
    describedBy: {
      args: {
        type: 'object',
        properties: { id: { type: 'string' }, name: { type: 'string' } },
        required: ['id']
      }
    },
    execute: args => {
      const id = args.id as string;
      model.start();
      let tab = tabs.find(widget => widget.content.id === tabId(id));
      if (tab === undefined) {
        tab = newTab(id, (args.name as string | undefined) ?? id, model, actions);
        void tabs.add(tab);
      }
      if (!tab.isAttached) {
        app.shell.add(tab, 'main', { type: 'Atoll' });
      }
      app.shell.activateById(tab.id);
    }
  });
}

function tabId(id: string): string {
  return `atoll-job-${id}`;
}

function newTab(
  id: string,
  name: string,
  model: JobsModel,
  actions: JobActions
): MainAreaWidget<PanelWidget> {
  const content = new PanelWidget({
    id: tabId(id),
    label: `Job ${name}`,
    icon: jobsIcon,
    view: () => createElement(TabOfJob, { model, id, actions })
  });
  const tab = new MainAreaWidget({ content });
  tab.id = `${tabId(id)}-tab`;
  tab.title.label = name;
  tab.title.icon = jobsIcon;
  tab.title.closable = true;
  tab.toolbar.hide();
  return tab;
}

function TabOfJob(props: { model: JobsModel; id: string; actions: JobActions }): ReactElement {
  const action = useAction();
  return createElement(JobTab, { ...props, action });
}
