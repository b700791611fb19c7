/** Puts the datasets into the lab: the panel, tabs, commands. */

import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import { createElement } from 'react';

import type { Dataset } from '../api';
import { IPlatform } from '../platform';
import { datasetsIcon } from '../views/icons';
import { PanelWidget } from '../views/widget';
import { below } from './code';
import { DatasetTab, type Notebooks } from './details';
import { DatasetsModel } from './model';
import { addDataset, DatasetsPanel } from './panel';

const CATEGORY = 'Atoll';
const PANEL = 'atoll-datasets';

export const CommandIDs = {
  show: 'atoll:show-datasets',
  add: 'atoll:add-dataset',
  open: 'atoll:open-dataset',
  refresh: 'atoll:refresh-datasets'
};

export const datasetsPlugin: JupyterFrontEndPlugin<void> = {
  id: '@atoll/lab:datasets',
  description: 'The Datasets panel.',
  autoStart: true,
  requires: [IPlatform, INotebookTracker],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    { api, events, info }: IPlatform,
    tracker: INotebookTracker,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const model = new DatasetsModel(api, events, info);
    const notebooks = currentNotebook(tracker);
    const tabs = new WidgetTracker<MainAreaWidget<PanelWidget>>({ namespace: 'atoll-dataset' });

    const open = (dataset: Pick<Dataset, 'id' | 'name'>): void =>
      void app.commands.execute(CommandIDs.open, { id: dataset.id, name: dataset.name });

    const panel = new PanelWidget({
      id: PANEL,
      label: 'Datasets',
      icon: datasetsIcon,
      view: () => createElement(DatasetsPanel, { model, events, notebooks, open }),
      onShow: () => model.start()
    });
    app.shell.add(panel, 'left', { rank: 300, type: 'Atoll' });
    restorer?.add(panel, PANEL);

    app.commands.addCommand(CommandIDs.show, {
      label: 'Show Datasets',
      icon: datasetsIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => (shell ?? app.shell).activateById(PANEL)
    });
    app.commands.addCommand(CommandIDs.add, {
      label: 'Add a Dataset…',
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => {
        model.start();
        addDataset(model);
      }
    });
    app.commands.addCommand(CommandIDs.refresh, {
      label: 'Refresh Datasets',
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => model.refresh()
    });
    app.commands.addCommand(CommandIDs.open, {
      label: 'Open Dataset',
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
          tab = newTab(id, (args.name as string | undefined) ?? id, model, notebooks);
          void tabs.add(tab);
        }
        if (!tab.isAttached) {
          app.shell.add(tab, 'main', { type: 'Atoll' });
        }
        app.shell.activateById(tab.id);
      }
    });
    for (const command of [CommandIDs.show, CommandIDs.add, CommandIDs.refresh]) {
      palette?.addItem({ command, category: CATEGORY });
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

function tabId(id: string): string {
  return `atoll-dataset-${id}`;
}

function newTab(
  id: string,
  name: string,
  model: DatasetsModel,
  notebooks: Notebooks
): MainAreaWidget<PanelWidget> {
  const content = new PanelWidget({
    id: tabId(id),
    label: `Dataset ${name}`,
    icon: datasetsIcon,
    view: () => createElement(DatasetTab, { model, id, notebooks })
  });
  const tab = new MainAreaWidget({ content });
  tab.id = `${tabId(id)}-tab`;
  tab.title.label = name;
  tab.title.icon = datasetsIcon;
  tab.title.closable = true;
  tab.toolbar.hide();
  return tab;
}

/** What can be inserted into, now: the notebook that was used last. */
function currentNotebook(tracker: INotebookTracker): Notebooks {
  return {
    changed: tracker.currentChanged,
    obstacle: () => {
      const panel = tracker.currentWidget;
      if (panel === null) {
        return 'Open a notebook to insert it.';
      }
      return panel.content.model?.readOnly === true ? 'The notebook is read-only.' : null;
    },
    insert: source => {
      const panel = tracker.currentWidget;
      if (panel === null) {
        return;
      }
      const { content } = panel;
      if (content.activeCell?.model.sharedModel.getSource().trim() !== '') {
        NotebookActions.insertBelow(content);
      }
      if (content.activeCell?.model.type !== 'code') {
        NotebookActions.changeCellType(content, 'code');
      }
      const above = content.widgets
        .slice(0, content.activeCellIndex)
        .filter(cell => cell.model.type === 'code')
        .map(cell => cell.model.sharedModel.getSource());
      content.activeCell?.model.sharedModel.setSource(below(source, above));
      panel.activate();
    }
  };
}
