/** Dialogs: forms that show the platform's answer inline, and questions before something is lost. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';

/** A dialog whose form has its own buttons: JupyterLab's would close it before the answer is here. */
class FormDialog extends Dialog<void> {
  protected override _evtKeydown(event: KeyboardEvent): void {
    // Enter is the form's own: it submits.
    if (event.key !== 'Enter') {
      super._evtKeydown(event);
    }
  }
}

/** Show a form; `close` takes it away. Resolves when it is gone. */
export async function showForm(
  title: string,
  form: (close: () => void) => ReactElement
): Promise<void> {
  const close = (): void => {
    dialog.reject();
  };
  const body = ReactWidget.create(form(close));
  body.addClass('atoll-Form-body');
  const dialog = new FormDialog({
    title,
    body,
    buttons: [],
    hasClose: true,
    focusNodeSelector: 'input, select, textarea'
  });
  dialog.addClass('atoll-FormDialog');
  await dialog.launch();
}

/** Ask before something is done; the answer is whether to do it. */
export async function confirmed(options: {
  title: string;
  body: ReactElement | string;
  accept: string;
  warn?: boolean;
}): Promise<boolean> {
  const button = options.warn === true ? Dialog.warnButton : Dialog.okButton;
  const result = await showDialog({
    title: options.title,
    body: options.body,
    buttons: [Dialog.cancelButton(), button({ label: options.accept })]
  });
  return result.button.accept;
}
