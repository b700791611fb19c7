/** The Jobs panel: what runs, waits and is done, and the chosen job below it. */

import { FilterBox, refreshIcon } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import { useState, type ReactElement } from 'react';

import type { Job } from '../api';
import type { Events } from '../events';
import { useAction, useChanges, type Action } from '../views/hooks';
import { runAsJobIcon } from '../views/icons';
import { AwayBanner, Empty, IconButton, ProblemView, Section, TextButton } from '../views/parts';
import type { JobActions } from './actions';
import { JobDetails } from './details';
import type { Group, JobsModel } from './model';
import { JobRow } from './row';

/** The notebook that "Run notebook…" means. */
export interface CurrentNotebook {
  /** Its name; null where there is none. */
  name: () => string | null;
  run: () => void;
  /** It is another one now. */
  changed: ISignal<unknown, unknown>;
}

export interface JobsPanelProps {
  model: JobsModel;
  events: Events;
  actions: JobActions;
  notebook: CurrentNotebook;
}

export function JobsPanel(props: JobsPanelProps): ReactElement {
  const { model, events, actions, notebook } = props;
  useChanges(model.changed, notebook.changed, events.stateChanged);
  const [filter, setFilter] = useState('');
  const action = useAction();
  const { selected } = model;
  const name = notebook.name();
  return (
    <>
      <div className="atoll-Toolbar" role="toolbar" aria-label="Jobs">
        <h2>Jobs</h2>
        <IconButton
          icon={runAsJobIcon}
          label={name === null ? 'Run a notebook as a job: open one first' : `Run ${name} as a job`}
          disabled={name === null || !model.present}
          testId="atoll-jobs-run"
          onClick={notebook.run}
        />
        <IconButton
          icon={refreshIcon}
          label="Refresh the list"
          onClick={() => void model.refresh()}
        />
      </div>
      <div className="atoll-Filter">
        <FilterBox
          placeholder="Filter jobs"
          useFuzzyFilter={false}
          updateFilter={(_, query) => setFilter(query ?? '')}
        />
      </div>
      <AwayBanner events={events} />
      {action.problem !== null && (
        <ProblemView problem={action.problem} onDismiss={action.dismiss} />
      )}
      <div className="atoll-Panel-list" data-testid="atoll-jobs">
        <List {...props} filter={filter} action={action} />
      </div>
      {selected !== null && (
        <div className="atoll-Panel-details">
          <JobDetails
            key={selected.id}
            model={model}
            job={selected}
            actions={actions}
            action={action}
          />
        </div>
      )}
    </>
  );
}

type ListProps = JobsPanelProps & { filter: string; action: Action };

function List(props: ListProps): ReactElement {
  const { model, events, filter } = props;
  if (!model.present) {
    return (
      <Empty title="This server is not Atoll’s">
        It was not started by an Atoll platform, so there is none to run jobs.
      </Empty>
    );
  }
  if (!model.loaded) {
    return <Empty title="Loading…" />;
  }
  if (model.jobs.length === 0) {
    if (model.problem === null) {
      return <NoJobs {...props} />;
    }
    return events.silent ? (
      <Empty title="No jobs can be shown now">
        They go on, and are back when the platform answers.
      </Empty>
    ) : (
      <ProblemView problem={model.problem} />
    );
  }
  const groups = model.groups(filter).filter(([, jobs]) => jobs.length > 0);
  if (groups.length === 0) {
    return <Empty title={`No job matches “${filter}”`} />;
  }
  return (
    <>
      {model.problem !== null && !events.silent && <ProblemView problem={model.problem} />}
      {groups.map(([group, jobs]) => (
        <GroupOfJobs key={group} {...props} group={group} jobs={jobs} />
      ))}
    </>
  );
}

function NoJobs({ notebook }: JobsPanelProps): ReactElement {
  const name = notebook.name();
  return (
    <Empty title="No jobs yet">
      <p>
        A job is one run of a notebook on the platform. It goes on when you close the lab or stop
        your server, and keeps its output.
      </p>
      {name === null ? (
        <p>Open a notebook and choose “Run as job” in its toolbar.</p>
      ) : (
        <TextButton primary onClick={notebook.run}>
          Run {name} as a job
        </TextButton>
      )}
    </Empty>
  );
}

/** Rows shown before one asks for more: a list of hundreds is read by nobody. */
const SOME = 30;

function GroupOfJobs(props: ListProps & { group: Group; jobs: Job[] }): ReactElement {
  const { group, jobs, model, actions, action } = props;
  const [shown, setShown] = useState(SOME);
  return (
    <Section title={group} count={jobs.length} testId={`atoll-jobs-${group.toLowerCase()}`}>
      <ul className="atoll-Rows" aria-label={`${group} jobs`}>
        {jobs.slice(0, shown).map(job => (
          <JobRow key={job.id} model={model} job={job} actions={actions} action={action} />
        ))}
      </ul>
      {jobs.length > shown && (
        <div className="atoll-Rows-more">
          <TextButton onClick={() => setShown(shown + SOME)}>
            {`Show ${String(Math.min(SOME, jobs.length - shown))} more`}
          </TextButton>
        </div>
      )}
    </Section>
  );
}
