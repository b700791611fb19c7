/** The Datasets panel: a list to find things in, and the chosen dataset below it. */

import {
  addIcon,
  ellipsesIcon,
  FilterBox,
  refreshIcon,
  spreadsheetIcon
} from '@jupyterlab/ui-components';
import { useEffect, useRef, useState, type ReactElement } from 'react';

import type { Dataset } from '../api';
import type { Events } from '../events';
import { confirmed, showForm } from '../views/dialog';
import { useAction, useChanges, useNow, type Action } from '../views/hooks';
import {
  AwayBanner,
  Empty,
  IconButton,
  openMenu,
  ProblemView,
  Section,
  TextButton
} from '../views/parts';
import { moveBetweenRows } from '../views/rows';
import { AddForm, GrantForm } from './add';
import { changeSource } from './change';
import { format, shape, status } from './describe';
import { DatasetDetails, type Notebooks } from './details';
import type { DatasetsModel } from './model';

export interface DatasetsPanelProps {
  model: DatasetsModel;
  events: Events;
  notebooks: Notebooks;
  /** Show the dataset in a tab of the main area. */
  open: (dataset: Dataset) => void;
}

export function DatasetsPanel(props: DatasetsPanelProps): ReactElement {
  const { model, events } = props;
  useChanges(model.changed, events.stateChanged);
  const [filter, setFilter] = useState('');
  const action = useAction();
  const { selected } = model;
  return (
    <>
      <div className="atoll-Toolbar" role="toolbar" aria-label="Datasets">
        <h2>Datasets</h2>
        <IconButton
          icon={addIcon}
          label="Add a dataset"
          testId="atoll-dataset-add"
          onClick={() => addDataset(model)}
        />
        <IconButton
          icon={refreshIcon}
          label="Refresh the list"
          onClick={() => void model.refresh()}
        />
      </div>
      <div className="atoll-Filter">
        <FilterBox
          placeholder="Filter datasets"
          useFuzzyFilter={false}
          updateFilter={(_, query) => setFilter(query ?? '')}
        />
      </div>
      <AwayBanner events={events} />
      {action.problem !== null && (
        <ProblemView problem={action.problem} onDismiss={action.dismiss} />
      )}
      <div
        className={`atoll-Panel-list${selected === null ? '' : ' atoll-mod-short'}`}
        data-testid="atoll-datasets"
      >
        <List {...props} filter={filter} action={action} />
      </div>
      {selected !== null && (
        <div className="atoll-Panel-details">
          <DatasetDetails
            key={selected.id}
            model={model}
            dataset={selected}
            notebooks={props.notebooks}
          />
        </div>
      )}
    </>
  );
}

export function addDataset(model: DatasetsModel): void {
  void showForm('Add a dataset', close => <AddForm model={model} close={close} />);
}

function List(props: DatasetsPanelProps & { filter: string; action: Action }): ReactElement {
  const { model, events, filter } = props;
  if (!model.loaded) {
    return <Empty title="Loading…" />;
  }
  if (model.datasets.length === 0) {
    if (model.problem !== null) {
      return events.silent ? (
        <Empty title="No datasets can be shown now">They are back when the platform answers.</Empty>
      ) : (
        <ProblemView problem={model.problem} />
      );
    }
    return (
      <Empty title="No datasets yet">
        <p>
          A dataset is a name for data that the platform can reach: a CSV file, a folder of Parquet
          files, a table of a SQLite database.
        </p>
        <TextButton primary onClick={() => addDataset(model)}>
          Add the first one
        </TextButton>
      </Empty>
    );
  }
  const groups = model.groups(filter).filter(([, datasets]) => datasets.length > 0);
  if (groups.length === 0) {
    return <Empty title={`No dataset matches “${filter}”`} />;
  }
  return (
    <>
      {groups.map(([group, datasets]) => (
        <Section key={group} title={group} count={datasets.length}>
          <ul className="atoll-Rows" aria-label={`${group} datasets`}>
            {datasets.map(dataset => (
              <Row key={dataset.id} {...props} dataset={dataset} />
            ))}
          </ul>
        </Section>
      ))}
    </>
  );
}

function Row(props: DatasetsPanelProps & { dataset: Dataset; action: Action }): ReactElement {
  const { model, dataset } = props;
  const now = useNow(30_000);
  const { mark, mood, short, long } = status(dataset, now);
  const chosen = model.selected?.id === dataset.id;
  const row = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (chosen) {
      row.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [chosen]);
  const label = model.group(dataset) === 'Shared' ? model.reference(dataset) : dataset.name;
  return (
    <li className={`atoll-Row${chosen ? ' atoll-mod-chosen' : ''}`}>
      <button
        ref={row}
        type="button"
        className="atoll-Row-main"
        aria-expanded={chosen}
        title={dataset.description === '' ? long : `${dataset.description}\n${long}`}
        data-testid={`atoll-dataset-${dataset.name}`}
        onClick={() => model.select(chosen ? null : dataset.id)}
        onDoubleClick={() => {
          model.select(dataset.id);
          props.open(dataset);
        }}
        onKeyDown={moveBetweenRows}
      >
        <spreadsheetIcon.react tag="span" className="atoll-icon" elementSize="normal" />
        <span className="atoll-Row-name">{label}</span>
        <span className="atoll-Row-shape atoll-quiet">{shape(dataset)}</span>
        <span className="atoll-Row-format atoll-quiet">{format(dataset)}</span>
        <span className={`atoll-Row-status atoll-mod-${mood}`}>
          <span aria-hidden="true">{mark}</span> <span className="atoll-Row-age">{short}</span>
        </span>
      </button>
      <IconButton
        icon={ellipsesIcon}
        label={`More for ${dataset.name}`}
        onClick={event => void showMenu(event.currentTarget, props)}
      />
    </li>
  );
}

async function showMenu(
  anchor: HTMLElement,
  props: DatasetsPanelProps & { dataset: Dataset; action: Action }
): Promise<void> {
  const { model, dataset, action } = props;
  const mine = await model.mayEdit(dataset).catch(() => model.group(dataset) === 'Mine');
  const wide = { label: 'Open wide', run: () => props.open(dataset) };
  if (!mine) {
    const who = dataset.owner === '' ? 'an administrator' : dataset.owner;
    const why = { label: `Only ${who} can change it`, disabled: true, run: () => undefined };
    openMenu(anchor, [wide, { ...why, separated: true }]);
    return;
  }
  openMenu(anchor, [
    wide,
    {
      label: 'Look again',
      disabled: dataset.status === 'probing',
      run: () => action.run(() => model.probe(dataset))
    },
    { label: 'Change…', run: () => changeSource(model, dataset) },
    {
      label: 'Who may use it…',
      run: () =>
        void showForm(`Who may use ${dataset.name}`, close => (
          <GrantForm model={model} dataset={dataset} close={close} />
        ))
    },
    {
      label: 'Remove…',
      separated: true,
      run: () => action.run(() => remove(model, dataset))
    }
  ]);
}

async function remove(model: DatasetsModel, dataset: Dataset): Promise<void> {
  const sure = await confirmed({
    title: `Remove ${dataset.name}?`,
    body:
      'Lost are the name, its schema, its stored sample and who may use it; notebooks and jobs ' +
      'that load it by this name will fail. The data itself is not touched.',
    accept: 'Remove',
    warn: true
  });
  if (sure) {
    await model.remove(dataset);
  }
}
