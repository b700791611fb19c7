/** All about one dataset: how to load it, schema, sample, partitions, where it is. */

import { addBelowIcon } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import { useEffect, useRef, useState, type ReactElement } from 'react';

import { asProblem, type Column, type Dataset, type Preview, type Problem } from '../api';
import { count, size } from '../views/format';
import { useAction, useChanges, useNow } from '../views/hooks';
import { Ago, CopyButton, Empty, ProblemView, Tabs, TextButton, type Tab } from '../views/parts';
import { changeSource } from './change';
import { format, missing, principal, range, shape, status } from './describe';
import type { DatasetsModel } from './model';

/** What the view asks of the lab around it. */
export interface Notebooks {
  /** Why nothing can be inserted now; null where it can. */
  obstacle: () => string | null;
  /** Put the code into the active cell where that is empty, else into a new one below it. */
  insert: (source: string) => void;
  /** The current notebook has changed. */
  changed: ISignal<unknown, unknown>;
}

export function DatasetDetails(props: {
  model: DatasetsModel;
  dataset: Dataset;
  notebooks: Notebooks;
}): ReactElement {
  const { model, dataset, notebooks } = props;
  const tabs: Tab[] = [
    { id: 'schema', label: 'Schema', render: () => <Schema columns={dataset.columns} /> },
    {
      id: 'sample',
      label: 'Sample',
      render: () => <Sample key={dataset.probed_at} model={model} dataset={dataset} />
    },
    { id: 'partitions', label: 'Partitions', render: () => <Partitions dataset={dataset} /> },
    { id: 'about', label: 'About', render: () => <About dataset={dataset} /> }
  ];
  return (
    <div className="atoll-DatasetDetails" data-testid="atoll-dataset-details">
      <h3 className="atoll-DatasetDetails-title">{dataset.name}</h3>
      {dataset.description !== '' && <p>{dataset.description}</p>}
      <p className="atoll-quiet">
        {[shape(dataset), format(dataset), dataset.size === null ? '' : size(dataset.size)]
          .filter(part => part !== '')
          .join(' · ')}
      </p>
      {dataset.status !== 'ready' && <NotReady model={model} dataset={dataset} />}
      {dataset.columns.length > 0 && (
        <>
          <Load cell={model.loadCell(dataset)} notebooks={notebooks} />
          <Tabs label={`About ${dataset.name}`} tabs={tabs} />
        </>
      )}
      {dataset.columns.length === 0 && <About dataset={dataset} />}
    </div>
  );
}

/** Why the dataset is not as it should be, and what its owner can do about it on the spot. */
function NotReady(props: { model: DatasetsModel; dataset: Dataset }): ReactElement {
  const { model, dataset } = props;
  const { busy, problem, run } = useAction();
  const { mark, mood, long } = status(dataset, useNow(30_000));
  const sign = (
    <span className={`atoll-mod-${mood}`} aria-hidden="true">
      {mark}
    </span>
  );
  if (dataset.status === 'probing') {
    return (
      <p role="status">
        {sign} {long}
      </p>
    );
  }
  return (
    <>
      <div className={`atoll-Problem atoll-mod-${dataset.status}`} role="alert">
        {sign}
        <div>
          <div>{long}</div>
          {model.group(dataset) === 'Mine' && (
            <div className="atoll-Buttons">
              <TextButton onClick={() => changeSource(model, dataset)}>Change…</TextButton>
              <TextButton disabled={busy} onClick={() => run(() => model.probe(dataset))}>
                Look again
              </TextButton>
            </div>
          )}
        </div>
      </div>
      {problem !== null && <ProblemView problem={problem} />}
    </>
  );
}

function Load(props: { cell: string; notebooks: Notebooks }): ReactElement {
  const { cell, notebooks } = props;
  useChanges(notebooks.changed);
  const obstacle = notebooks.obstacle();
  return (
    <div className="atoll-Load">
      <code className="atoll-Load-code">{cell}</code>
      <div className="atoll-Buttons">
        <TextButton
          primary
          disabled={obstacle !== null}
          title={obstacle ?? 'Insert it into the active cell if that is empty, else into one below'}
          testId="atoll-dataset-insert"
          onClick={() => notebooks.insert(cell)}
        >
          <addBelowIcon.react tag="span" className="atoll-icon" elementSize="small" />
          Insert
        </TextButton>
        <CopyButton text={cell} label="Copy the code that loads it" />
        {obstacle !== null && <span className="atoll-quiet">{obstacle}</span>}
      </div>
    </div>
  );
}

function Schema(props: { columns: Column[] }): ReactElement {
  return (
    <div className="atoll-Scroll">
      <table className="atoll-Schema" data-testid="atoll-schema">
        <thead className="atoll-hidden">
          <tr>
            <th scope="col">Column</th>
            <th scope="col">Type</th>
            <th scope="col">Values</th>
            <th scope="col">Distribution</th>
          </tr>
        </thead>
        <tbody>
          {props.columns.map(column => (
            <tr key={column.name}>
              <th scope="row" title={column.name}>
                {column.name}
              </th>
              <td className="atoll-quiet atoll-Schema-type" title={column.type}>
                {column.type.toLowerCase()}
              </td>
              <td className="atoll-Schema-values" title={range(column)}>
                {missing(column) !== '' && (
                  <span className="atoll-Schema-missing">{missing(column)} </span>
                )}
                {range(column)}
              </td>
              <td className="atoll-Schema-histogram">
                <Histogram counts={column.histogram} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Of a bar with the gap behind it, where there is room. */
const BAR = 5;
const WIDTH = 80;
const HEIGHT = 16;

function Histogram(props: { counts: number[] }): ReactElement | null {
  const { counts } = props;
  const most = Math.max(...counts, 1);
  if (counts.length === 0) {
    return null;
  }
  const step = Math.min(BAR, WIDTH / counts.length);
  const bar = step - Math.min(1, step / 4);
  const words = `Counts in ${String(counts.length)} equal bins: ${counts.join(', ')}`;
  return (
    <svg
      className="atoll-Histogram"
      role="img"
      aria-label={words}
      width={counts.length * step}
      height={HEIGHT}
    >
      <title>{words}</title>
      {counts.map((number, bin) => {
        // A bin that holds anything at all can be seen.
        const height = number === 0 ? 0 : Math.max(1, (number / most) * HEIGHT);
        return <rect key={bin} x={bin * step} y={HEIGHT - height} width={bar} height={height} />;
      })}
    </svg>
  );
}

function Sample(props: { model: DatasetsModel; dataset: Dataset }): ReactElement {
  const { model, dataset } = props;
  const [preview, setPreview] = useState<Preview | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    let wanted = true;
    model
      .preview(dataset)
      .then(answer => wanted && setPreview(answer))
      .catch((error: unknown) => wanted && setProblem(asProblem(error)));
    return () => {
      wanted = false;
    };
  }, [model, dataset]);
  const scrolled = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // Where the panel is low, both scrollbars are brought into view.
    scrolled.current?.scrollIntoView({ block: 'nearest' });
  }, [preview]);
  if (preview === null) {
    return problem === null ? (
      <p className="atoll-quiet">Loading…</p>
    ) : (
      <ProblemView problem={problem} />
    );
  }
  return (
    <>
      {/* Scrolled with the keyboard, so it takes the focus. */}
      <div
        ref={scrolled}
        className="atoll-Scroll atoll-Sample"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        role="region"
        aria-label="Sample"
      >
        <table data-testid="atoll-sample">
          <thead>
            <tr>
              {preview.columns.map(column => (
                <th key={column.name} scope="col" title={column.type}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {preview.rows.map((row, number) => (
              <tr key={number}>
                {row.map((value, at) => (
                  <td key={at} className={typeof value === 'number' ? 'atoll-mod-number' : ''}>
                    {shown(value)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="atoll-quiet">
        The first {count(preview.rows.length)} of {count(preview.sampled)} sampled rows, as stored
        by the platform.{preview.cut && ' Their rows are long, so fewer are kept.'}
      </p>
    </>
  );
}

/** The longest text of a cell that is shown; a cell may hold megabytes. */
const LONGEST = 200;

function shown(value: unknown): ReactElement | string {
  if (value === null || value === undefined) {
    return <span className="atoll-quiet">null</span>;
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function Partitions(props: { dataset: Dataset }): ReactElement {
  const { partitions } = props.dataset;
  if (partitions.length === 0) {
    return <p className="atoll-quiet">It has no partitions: loading it reads all of it.</p>;
  }
  return (
    <dl className="atoll-Facts">
      {partitions.map(key => (
        <div key={key.name}>
          <dt>
            {key.name} <span className="atoll-quiet">{count(key.values.length)} values</span>
          </dt>
          <dd className="atoll-Chips">
            {key.values.map(value => (
              <code key={value}>{value}</code>
            ))}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function About(props: { dataset: Dataset }): ReactElement {
  const { dataset } = props;
  const { location } = dataset;
  return (
    <dl className="atoll-Facts">
      <Fact name="Owner">{dataset.owner === '' ? 'the platform' : dataset.owner}</Fact>
      {location !== null && <Fact name="Location">{location.path}</Fact>}
      {location?.table != null && <Fact name="Table">{location.table}</Fact>}
      {dataset.source_modified_at !== null && (
        <Fact name="Source changed">
          <Ago time={dataset.source_modified_at} />
        </Fact>
      )}
      {dataset.probed_at !== null && (
        <Fact name="Last looked at">
          <Ago time={dataset.probed_at} />
        </Fact>
      )}
      <Fact name="May use it">
        {dataset.grants.length === 0
          ? 'its owner alone'
          : ['its owner', ...dataset.grants.map(principal)].join(', ')}
      </Fact>
      <Fact name="Id">
        <code>{dataset.id}</code> <CopyButton text={dataset.id} label="Copy the id" />
      </Fact>
    </dl>
  );
}

function Fact(props: { name: string; children: React.ReactNode }): ReactElement {
  return (
    <div>
      <dt className="atoll-quiet">{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

/** The same, as a tab of the main area; says so where the dataset is gone meanwhile. */
export function DatasetTab(props: {
  model: DatasetsModel;
  id: string;
  notebooks: Notebooks;
}): ReactElement {
  const { model, id, notebooks } = props;
  useChanges(model.changed);
  const dataset = model.byId(id);
  if (dataset === null) {
    return model.loaded ? (
      <Empty title="This dataset is gone">It was removed, or you may no longer use it.</Empty>
    ) : (
      <Empty title="Loading…" />
    );
  }
  return (
    <div className="atoll-mod-wide">
      <DatasetDetails model={model} dataset={dataset} notebooks={notebooks} />
    </div>
  );
}
