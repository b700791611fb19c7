/** The notebook that is to be run: saved first, then read as it is on disk. */

import type { ICell, ICodeCell, INotebookContent } from '@jupyterlab/nbformat';

import type { Resources } from '../api';

/** What the run form is opened with. */
export interface Source {
  /** The notebook's file name, for people. */
  name: string;
  /** Where it is among the person's files; the name where it is nowhere. */
  path: string;
  notebook: INotebookContent;
  /** Values of an earlier run to begin with, rather than the last ones. */
  values?: Record<string, unknown>;
  /** The environment of an earlier run, by its digest. */
  digest?: string;
  /** What an earlier run asked for. */
  resources?: Resources;
  /** An earlier run that was given files, and how many: they can be given again. */
  given?: { job: string; files: number };
}

/** The notebook without what its cells gave: a run makes that anew, and it may be large. */
export function withoutOutputs(notebook: INotebookContent): INotebookContent {
  return { ...notebook, cells: notebook.cells.map(cleared) };
}

function cleared(cell: ICell): ICell {
  if (cell.cell_type !== 'code') {
    return cell;
  }
  const code: ICodeCell = { ...(cell as ICodeCell), outputs: [], execution_count: null };
  return code;
}
