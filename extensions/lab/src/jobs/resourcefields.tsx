/** The run form's part for CPUs, memory and GPUs: closed, since most jobs need what all get. */

import { useId, useState, type ReactElement } from 'react';

import type { ResourceLimits, Resources } from '../api';
import { TextField } from '../views/form';
import {
  inWords,
  readResources,
  resourceTexts,
  type ResourceErrors,
  type ResourceTexts
} from './resources';

/** What is asked for; the part is null where jobs have what their machine has. */
export function useResources(
  limits: ResourceLimits | null,
  earlier: Resources | undefined
): { resources: Resources; wrong: boolean; field: ReactElement | null } {
  const [texts, setTexts] = useState(() => resourceTexts(earlier));
  if (limits === null) {
    return { resources: {}, wrong: false, field: null };
  }
  const { resources, errors } = readResources(texts, limits);
  return {
    resources,
    wrong: Object.keys(errors).length > 0,
    field: (
      <ResourceFields
        limits={limits}
        texts={texts}
        resources={resources}
        errors={errors}
        onChange={setTexts}
      />
    )
  };
}

function ResourceFields(props: {
  limits: ResourceLimits;
  texts: ResourceTexts;
  resources: Resources;
  errors: ResourceErrors;
  onChange: (texts: ResourceTexts) => void;
}): ReactElement {
  const { limits, texts, resources, errors, onChange } = props;
  const [opened, setOpened] = useState(false);
  const id = useId();
  const asked = inWords(resources);
  const wrong = Object.keys(errors).length > 0;
  const open = opened || wrong; // what is wrong is never out of sight
  const field = (name: keyof ResourceTexts, label: string, usual: string): ReactElement => (
    <TextField
      label={label}
      name={name}
      value={texts[name]}
      placeholder={usual}
      error={errors[name] ?? null}
      onChange={text => onChange({ ...texts, [name]: text })}
    />
  );
  return (
    <div className="atoll-Resources" role="group" aria-label="Resources">
      <button
        type="button"
        className="atoll-Resources-title"
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpened(!open)}
      >
        <span className="atoll-Field-label">Resources</span>{' '}
        <span className="atoll-quiet">
          {asked !== '' ? asked : wrong ? '' : `as usual: ${inWords(limits)}`}
        </span>
      </button>
      {open && (
        <div id={id} className="atoll-Resources-fields">
          {field('cpu', 'CPUs', String(limits.cpu))}
          {field('memory', 'Memory', limits.memory)}
          {limits.gpu_most > 0 && field('gpu', 'GPUs', '0')}
          <span className="atoll-Field-hint">
            {`${most(limits)} at most. The job waits until a machine has them.`}
          </span>
        </div>
      )}
    </div>
  );
}

function most(limits: ResourceLimits): string {
  return inWords({ cpu: limits.cpu_most, memory: limits.memory_most, gpu: limits.gpu_most });
}
