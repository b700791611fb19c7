/** The keyboard in the panels' lists. */

import type { KeyboardEvent } from 'react';

/** Up and down go from row to row, as in JupyterLab's file browser. */
export function moveBetweenRows(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const list = event.currentTarget.closest('.atoll-Panel-list');
  if (step === undefined || list === null) {
    return;
  }
  const rows = Array.from(list.querySelectorAll<HTMLElement>('.atoll-Row-main'));
  rows[rows.indexOf(event.currentTarget) + step]?.focus();
  event.preventDefault();
}
