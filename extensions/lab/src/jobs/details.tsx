/** All about one job: its log as it comes, its parameters, what it ran in and read. */

import { useEffect, useState, type ReactElement, type ReactNode } from 'react';

import type { Job } from '../api';
import { plural, shortDigest, size } from '../views/format';
import { useChanges, type Action } from '../views/hooks';
import {
  Ago,
  CopyButton,
  Elapsed,
  Empty,
  ProblemView,
  ProgressBar,
  Tabs,
  TextButton,
  type Tab
} from '../views/parts';
import { changeAndRun, hasOutput, remove, type JobActions } from './actions';
import { literal } from './code';
import {
  environmentChoice,
  failure,
  final,
  share,
  stopping,
  timeLimit,
  title,
  words
} from './describe';
import { LogView } from './logview';
import type { JobsModel } from './model';

interface JobDetailsProps {
  model: JobsModel;
  job: Job;
  actions: JobActions;
  action: Action;
}

export function JobDetails(props: JobDetailsProps): ReactElement {
  const { model, job } = props;
  const tabs: Tab[] = [
    { id: 'log', label: 'Log', render: () => <LogView log={model.log(job)} name={title(job)} /> },
    { id: 'parameters', label: 'Parameters', render: () => <Parameters job={job} /> },
    { id: 'about', label: 'About', render: () => <About model={model} job={job} /> }
  ];
  return (
    <div className="atoll-JobDetails" data-testid="atoll-job-details">
      <h3 className="atoll-JobDetails-title">{title(job)}</h3>
      <State job={job} />
      <Buttons {...props} />
      <Tabs label={`About ${title(job)}`} tabs={tabs} />
    </div>
  );
}

function State({ job }: { job: Job }): ReactElement {
  const { mark, mood, spoken, line } = words(job);
  const said = job.status === 'succeeded' || line === '' || line === spoken ? spoken : line;
  return (
    <div className="atoll-JobDetails-state" role="status">
      <div>
        <span className={`atoll-mod-${mood}`} aria-hidden="true">
          {mark}
        </span>{' '}
        {job.status === 'failed' ? 'failed' : said}
        {job.started_at !== null && (
          <>
            {' · '}
            <Elapsed from={job.started_at} to={job.finished_at} />
          </>
        )}
        {job.finished_at !== null && (
          <span className="atoll-quiet">
            {' · '}
            <Ago time={job.finished_at} />
          </span>
        )}
      </div>
      {job.status === 'running' && !stopping(job) && (
        <ProgressBar share={share(job)} label="Cells that are done" />
      )}
      {job.status === 'failed' && <Failed job={job} />}
    </div>
  );
}

function Failed({ job }: { job: Job }): ReactElement {
  return (
    <div className="atoll-Problem" role="alert" data-testid="atoll-job-failure">
      <div>
        <div>{failure(job)}</div>
        {hasOutput(job) && (
          <div className="atoll-quiet">Its output notebook holds everything up to there.</div>
        )}
        {job.retried_by !== null && <div className="atoll-quiet">Another job runs it again.</div>}
      </div>
    </div>
  );
}

function Buttons(props: JobDetailsProps): ReactElement {
  const { model, job, actions, action } = props;
  const done = final(job);
  const again = async (): Promise<void> => {
    await model.again(job);
  };
  return (
    <div className="atoll-Buttons" role="group" aria-label={`What to do with ${title(job)}`}>
      {hasOutput(job) && (
        <TextButton
          primary={done}
          disabled={action.busy}
          testId="atoll-details-open-output"
          onClick={() => action.run(() => actions.openOutput(job))}
        >
          {done ? 'Open output' : 'Open output so far'}
        </TextButton>
      )}
      {!done && (
        <TextButton
          disabled={action.busy || job.target === 'stopped'}
          testId="atoll-details-stop"
          onClick={() => action.run(() => model.stop(job))}
        >
          {stopping(job) ? 'Stopping…' : 'Stop'}
        </TextButton>
      )}
      {done && (
        <>
          <TextButton
            disabled={action.busy}
            title="The same notebook with the same values"
            testId="atoll-details-again"
            onClick={() => action.run(again)}
          >
            Run again
          </TextButton>
          <TextButton
            disabled={action.busy}
            title="Run the same notebook with other values"
            onClick={() => action.run(() => changeAndRun(model, job, actions))}
          >
            Change and run…
          </TextButton>
          <TextButton
            disabled={action.busy}
            testId="atoll-details-delete"
            onClick={() => action.run(() => remove(model, job))}
          >
            Delete…
          </TextButton>
        </>
      )}
    </div>
  );
}

function Parameters({ job }: { job: Job }): ReactElement {
  const given = Object.entries(job.parameters);
  if (given.length === 0) {
    return <p className="atoll-quiet">None were given: it ran with the notebook’s own values.</p>;
  }
  return (
    <>
      <dl className="atoll-Facts" data-testid="atoll-job-parameters">
        {given.map(([name, value]) => (
          <Fact key={name} name={name}>
            <code>{literal(value)}</code>
          </Fact>
        ))}
      </dl>
      <p className="atoll-quiet">All others are the notebook’s own.</p>
    </>
  );
}

function About({ model, job }: { model: JobsModel; job: Job }): ReactElement {
  return (
    <dl className="atoll-Facts" data-testid="atoll-job-about">
      <Fact name="Environment">
        {environmentChoice(job.environment_choice)}
        {job.environment === null ? (
          <div className="atoll-quiet">It is known once it is saved.</div>
        ) : (
          <div className="atoll-Buttons">
            <code title={job.environment}>{shortDigest(job.environment)}</code>
            <CopyButton text={job.environment} label="Copy the environment’s digest" />
          </div>
        )}
      </Fact>
      {job.files.count > 0 && (
        <Fact name="Files">
          {plural(job.files.count, 'file')}, {size(job.files.size)}
        </Fact>
      )}
      <Fact name="Datasets read">
        <Datasets model={model} ids={job.datasets} />
      </Fact>
      <Fact name="Submitted">
        <Ago time={job.created_at} />
      </Fact>
      {job.started_at !== null && (
        <>
          <Fact name="Waited">
            <Elapsed from={job.created_at} to={job.started_at} />
          </Fact>
          <Fact name="Started">
            <Ago time={job.started_at} />
          </Fact>
        </>
      )}
      {job.finished_at !== null && (
        <Fact name="Ended">
          <Ago time={job.finished_at} />
        </Fact>
      )}
      <Fact name="Time limit">{timeLimit(job.timeout_s)}</Fact>
      {job.retries > 0 && <Fact name="Retries">{job.retries}</Fact>}
      <Other name="Runs again" model={model} id={job.retry_of} />
      <Other name="Run again by" model={model} id={job.retried_by} />
      <Fact name="Queue">{job.queue}</Fact>
      <Fact name="Id">
        <div className="atoll-Buttons">
          <code>{job.id}</code> <CopyButton text={job.id} label="Copy the job’s id" />
        </div>
      </Fact>
    </dl>
  );
}

/** Another job that belongs to this one, by its id. */
function Other(props: { name: string; model: JobsModel; id: string | null }): ReactElement | null {
  const { name, model, id } = props;
  if (id === null) {
    return null;
  }
  return (
    <Fact name={name}>
      {model.byId(id) === null ? (
        <code>{id}</code>
      ) : (
        <TextButton quiet onClick={() => model.select(id)}>
          {id}
        </TextButton>
      )}
    </Fact>
  );
}

function Datasets(props: { model: JobsModel; ids: string[] }): ReactElement {
  const { model, ids } = props;
  const [names, setNames] = useState<string[]>([]);
  const key = ids.join(' ');
  useEffect(() => {
    let wanted = true;
    const all = key === '' ? [] : key.split(' ');
    void Promise.all(all.map(id => model.datasetName(id))).then(found => wanted && setNames(found));
    return () => {
      wanted = false;
    };
  }, [model, key]);
  return <>{ids.length === 0 ? 'none by name' : names.join(', ')}</>;
}

function Fact(props: { name: string; children: ReactNode }): ReactElement {
  return (
    <div>
      <dt className="atoll-quiet">{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

/** The same, as a tab of the main area; says so where the job is gone meanwhile. */
export function JobTab(props: Omit<JobDetailsProps, 'job'> & { id: string }): ReactElement {
  const { model, id, action } = props;
  useChanges(model.changed);
  const job = model.byId(id);
  if (job === null) {
    return model.loaded ? (
      <Empty title="This job is gone">It was deleted.</Empty>
    ) : (
      <Empty title="Loading…" />
    );
  }
  return (
    <div className="atoll-mod-wide">
      {action.problem !== null && (
        <ProblemView problem={action.problem} onDismiss={action.dismiss} />
      )}
      <JobDetails {...props} job={job} />
    </div>
  );
}
