/** The person's notebooks: saved first, then read as they are on disk. */

import { PathExt } from '@jupyterlab/coreutils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { INotebookContent } from '@jupyterlab/nbformat';
import type { INotebookTracker } from '@jupyterlab/notebook';

import { withoutOutputs, type Source } from './source';

export class Notebooks {
  constructor(
    private readonly tracker: INotebookTracker,
    private readonly documents: IDocumentManager
  ) {}

  /** The file name of the notebook that was used last; null where none is open. */
  get currentName(): string | null {
    const path = this.tracker.currentWidget?.context.path;
    return path === undefined ? null : PathExt.basename(path);
  }

  /** The notebook that was used last, saved. */
  async current(): Promise<Source | null> {
    const context = this.tracker.currentWidget?.context;
    return context === undefined ? null : fromContext(context);
  }

  /** The notebook at the path; saved first where it is open. */
  async at(path: string): Promise<Source> {
    const widget = this.documents.findWidget(path, null);
    if (widget !== undefined) {
      const context = this.documents.contextForWidget(widget);
      if (context !== undefined) {
        await saved(context);
      }
    }
    const file = await this.documents.services.contents.get(path, {
      type: 'notebook',
      content: true
    });
    return sourceOf(path, file.content as INotebookContent);
  }
}

async function fromContext(context: DocumentRegistry.Context): Promise<Source> {
  await saved(context);
  return sourceOf(context.path, context.model.toJSON() as unknown as INotebookContent);
}

/** Save what was typed; what cannot be saved is run as it stands on the screen. */
async function saved(context: DocumentRegistry.Context): Promise<void> {
  await context.ready;
  if (context.model.dirty && !context.model.readOnly) {
    await context.save();
  }
}

function sourceOf(path: string, notebook: INotebookContent): Source {
  return { name: PathExt.basename(path), path, notebook: withoutOutputs(notebook) };
}
