/** A panel as JupyterLab's shell holds it: a React tree that survives its own errors. */

import { ReactWidget, type LabIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { Component, type ReactElement, type ReactNode } from 'react';

import { asProblem } from '../api';
import { ProblemView } from './parts';

/** Shows an error of a view in its place, so that the rest of the lab goes on. */
class Boundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    return error === null ? this.props.children : <ProblemView problem={asProblem(error)} />;
  }
}

export interface PanelOptions {
  id: string;
  /** The name in tabs and for screen readers. */
  label: string;
  icon: LabIcon;
  view: () => ReactElement;
  /** Called when the panel is shown, each time. */
  onShow?: () => void;
}

export class PanelWidget extends ReactWidget {
  constructor(private readonly options: PanelOptions) {
    super();
    this.id = options.id;
    this.addClass('atoll-Panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', options.label);
    this.title.icon = options.icon;
    this.title.caption = options.label;
  }

  protected override render(): ReactElement {
    return <Boundary>{this.options.view()}</Boundary>;
  }

  protected override onBeforeShow(message: Message): void {
    super.onBeforeShow(message);
    this.options.onShow?.();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.options.onShow?.();
    }
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.querySelector<HTMLElement>('input, button, [tabindex="0"]')?.focus();
  }
}
