/** What Atoll's forms are made of. */

import type { ReactElement, ReactNode } from 'react';

/** A form's field: its name, what it is for, and the input. */
export function Field(props: {
  label: string;
  hint?: ReactNode;
  error?: string | null;
  children: ReactElement;
}): ReactElement {
  return (
    <label className="atoll-Field">
      <span className="atoll-Field-label">{props.label}</span>
      {props.children}
      {props.error != null && <span className="atoll-Field-error">{props.error}</span>}
      {props.hint !== undefined && <span className="atoll-Field-hint">{props.hint}</span>}
    </label>
  );
}

/** The buttons at a form's foot. */
export function FormButtons(props: {
  accept: string;
  busy: boolean;
  disabled?: boolean;
  /** What leaves the form: `Done` where nothing is left to be taken back. */
  leave?: string;
  close: () => void;
}): ReactElement {
  return (
    <div className="atoll-Form-buttons">
      <button
        type="button"
        className="jp-Dialog-button jp-mod-reject jp-mod-styled"
        onClick={props.close}
      >
        <span className="jp-Dialog-buttonLabel">{props.leave ?? 'Cancel'}</span>
      </button>
      <button
        type="submit"
        className="jp-Dialog-button jp-mod-accept jp-mod-styled"
        disabled={props.busy || props.disabled === true}
        data-testid="atoll-form-accept"
      >
        <span className="jp-Dialog-buttonLabel">{props.accept}</span>
      </button>
    </div>
  );
}

/** A field of one line of text. */
export function TextField(props: {
  label: string;
  name: string;
  value: string;
  onChange: (value: string) => void;
  hint?: ReactNode;
  error?: string | null;
  placeholder?: string;
  required?: boolean;
}): ReactElement {
  return (
    <Field label={props.label} hint={props.hint} error={props.error ?? null}>
      <input
        className={`jp-mod-styled${props.error != null ? ' jp-mod-error' : ''}`}
        name={props.name}
        value={props.value}
        required={props.required}
        placeholder={props.placeholder}
        aria-invalid={props.error != null}
        onChange={event => props.onChange(event.target.value)}
      />
    </Field>
  );
}
