/** The form's fields that say where a source is and how it is read. */

import type { ReactElement } from 'react';

import { Field, TextField } from '../views/form';
import { mistake, type SourceText } from './source';

export function SourceFields(props: {
  source: SourceText;
  onSource: (source: SourceText) => void;
}): ReactElement {
  const { source, onSource } = props;
  const change = (given: Partial<SourceText>): void => onSource({ ...source, ...given });
  return (
    <>
      <TextField
        label="Path"
        name="path"
        hint="A CSV, Parquet or SQLite file, or a folder of Parquet files, where the platform may read"
        placeholder="/data/flights.csv"
        required
        value={source.path}
        onChange={path => change({ path })}
      />
      <TextField
        label="Table"
        name="table"
        hint="Of a SQLite database; leave it empty for other files"
        value={source.table}
        onChange={table => change({ table })}
      />
      <Field label="Format">
        <select
          className="jp-mod-styled"
          name="format"
          value={source.format}
          onChange={event => change({ format: event.target.value })}
        >
          <option value="">Detected by the platform</option>
          <option value="csv">CSV</option>
          <option value="parquet">Parquet</option>
          <option value="sqlite">SQLite</option>
        </select>
      </Field>
      <Field
        label="Options"
        error={mistake(source.options)}
        hint="How a CSV is read, one a line: delimiter=; or encoding=latin-1 or header=false"
      >
        <textarea
          className="jp-mod-styled"
          name="options"
          rows={2}
          spellCheck={false}
          value={source.options}
          aria-invalid={mistake(source.options) !== null}
          onChange={event => change({ options: event.target.value })}
        />
      </Field>
    </>
  );
}
