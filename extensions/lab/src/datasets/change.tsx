/** The form that says anew where a dataset's source is and how it is read. */

import { useState, type FormEvent, type ReactElement } from 'react';

import type { Dataset } from '../api';
import { showForm } from '../views/dialog';
import { FormButtons } from '../views/form';
import { useAction } from '../views/hooks';
import { ProblemView } from '../views/parts';
import { SourceFields } from './fields';
import type { DatasetsModel } from './model';
import { change, mistake, sourceText } from './source';

/** Show the form. */
export function changeSource(model: DatasetsModel, dataset: Dataset): void {
  void showForm(`Change ${dataset.name}`, close => (
    <ChangeForm model={model} dataset={dataset} close={close} />
  ));
}

export function ChangeForm(props: {
  model: DatasetsModel;
  dataset: Dataset;
  close: () => void;
}): ReactElement {
  const { model, dataset, close } = props;
  const [before] = useState(() => sourceText(dataset));
  const [source, setSource] = useState(before);
  const { busy, problem, run } = useAction();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    run(async () => {
      await model.change(dataset, change(before, source));
      close();
    });
  };
  return (
    <form className="atoll-Form" onSubmit={submit} aria-label={`Change ${dataset.name}`}>
      {dataset.message !== null && <p className="atoll-quiet">{dataset.message}</p>}
      <SourceFields source={source} onSource={setSource} />
      <p className="atoll-quiet">
        The platform then looks at the source anew; what it knew of it before is forgotten.
      </p>
      {problem !== null && <ProblemView problem={problem} />}
      <FormButtons
        accept={busy ? 'Changing…' : 'Change'}
        busy={busy}
        disabled={mistake(source.options) !== null}
        close={close}
      />
    </form>
  );
}
