/** A job in the list: what it does and how far it is, in two lines. */

import { ellipsesIcon, refreshIcon, stopIcon } from '@jupyterlab/ui-components';
import { useEffect, useRef, type ReactElement } from 'react';

import type { Job } from '../api';
import type { Action } from '../views/hooks';
import { exact } from '../views/format';
import { Ago, Elapsed, IconButton, openMenu, ProgressBar, TextButton } from '../views/parts';
import { moveBetweenRows } from '../views/rows';
import { hasOutput, menuEntries, type JobActions } from './actions';
import { final, share, stopping, title, values, words } from './describe';
import type { JobsModel } from './model';

export interface JobRowProps {
  model: JobsModel;
  job: Job;
  actions: JobActions;
  action: Action;
}

export function JobRow(props: JobRowProps): ReactElement {
  const { model, job, actions } = props;
  const { mark, mood, spoken, line } = words(job);
  const chosen = model.selected?.id === job.id;
  const row = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (chosen) {
      row.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [chosen]);
  const running = job.status === 'running' && !stopping(job);
  return (
    <li
      className={`atoll-Row atoll-JobRow${chosen ? ' atoll-mod-chosen' : ''}`}
      data-testid={`atoll-job-${job.id}`}
      data-status={job.status}
    >
      <button
        ref={row}
        type="button"
        className="atoll-Row-main"
        aria-expanded={chosen}
        title={tooltip(job, line)}
        onClick={() => model.select(chosen ? null : job.id)}
        onDoubleClick={() => {
          model.select(job.id);
          actions.openWide(job);
        }}
        onKeyDown={moveBetweenRows}
      >
        <span className="atoll-JobRow-first">
          <span className={`atoll-Row-mark atoll-mod-${mood}`} aria-hidden="true">
            {mark}
          </span>
          <span className="atoll-Row-name">{title(job)}</span>
          {job.started_at !== null && (
            <span className="atoll-Row-shape">
              <Elapsed from={job.started_at} to={job.finished_at} />
            </span>
          )}
        </span>
        <span className="atoll-JobRow-second atoll-quiet">
          <span className="atoll-hidden">{spoken}. </span>
          <span className="atoll-JobRow-line">{line}</span>
          {(job.finished_at !== null || job.status === 'queued') && (
            <span className="atoll-JobRow-ago">
              <Ago time={job.finished_at ?? job.created_at} />
            </span>
          )}
        </span>
        {running && <ProgressBar share={share(job)} label={`Progress of ${title(job)}`} />}
      </button>
      <RowButtons {...props} />
    </li>
  );
}

function RowButtons(props: JobRowProps): ReactElement {
  const { model, job, actions, action } = props;
  return (
    <>
      {!final(job) && (
        <IconButton
          icon={stopIcon}
          label={`Stop ${title(job)}`}
          disabled={job.target === 'stopped'}
          testId="atoll-job-stop"
          onClick={() => action.run(() => model.stop(job))}
        />
      )}
      {job.status === 'succeeded' && hasOutput(job) && (
        <TextButton
          quiet
          label={`Open output of ${title(job)}`}
          testId="atoll-job-open-output"
          onClick={() => action.run(() => actions.openOutput(job))}
        >
          Open<span className="atoll-JobRow-wide"> output</span>
        </TextButton>
      )}
      {job.status === 'failed' && (
        <IconButton
          icon={refreshIcon}
          label={`Run ${title(job)} again`}
          testId="atoll-job-again"
          onClick={() =>
            action.run(async () => {
              await model.again(job);
            })
          }
        />
      )}
      <IconButton
        icon={ellipsesIcon}
        label={`More for ${title(job)}`}
        testId="atoll-job-menu"
        onClick={event =>
          openMenu(event.currentTarget, menuEntries(model, job, actions, action.run))
        }
      />
    </>
  );
}

/** All that the row is too narrow for. */
function tooltip(job: Job, line: string): string {
  const ended = job.finished_at;
  const when =
    ended === null
      ? `submitted ${exact(new Date(job.created_at))}`
      : `ended ${exact(new Date(ended))}`;
  return [title(job), line, values(job.parameters), when]
    .filter((part, at, parts) => part !== '' && parts.indexOf(part) === at)
    .join('\n');
}
