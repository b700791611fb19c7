/** The status bar's item: is it saved? */

import { ReactWidget } from '@jupyterlab/ui-components';
import type { ReactElement } from 'react';

import type { Events } from '../events';
import { useChanges, useNow } from '../views/hooks';
import { status } from './describe';
import type { EnvironmentModel } from './model';

interface StatusProps {
  model: EnvironmentModel;
  events: Events;
  onClick: () => void;
}

function EnvironmentStatus(props: StatusProps): ReactElement | null {
  const { model, events, onClick } = props;
  useChanges(model.changed, events.stateChanged);
  const now = useNow(60_000);
  if (!model.present || !model.loaded) {
    return null;
  }
  const { mark, mood, text, long } = status(model, events, now);
  return (
    <button
      type="button"
      className="atoll-StatusItem"
      title={long}
      data-testid="atoll-status"
      onClick={onClick}
    >
      <span className={`atoll-mod-${mood}`} aria-hidden="true">
        {mark}
      </span>{' '}
      <span className="atoll-StatusItem-text">{text}</span>
    </button>
  );
}

export class StatusItem extends ReactWidget {
  constructor(private readonly options: StatusProps) {
    super();
    this.addClass('atoll-Status-host');
  }

  protected override render(): ReactElement {
    return <EnvironmentStatus {...this.options} />;
  }
}
