/** The small parts that all of Atoll's panels are made of. */

import { caretDownIcon, caretRightIcon, type LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';
import { useId, useState, type MouseEvent, type ReactElement, type ReactNode } from 'react';

import { SERVER_AWAY, type Problem } from '../api';
import type { Events } from '../events';
import { duration, exact, relative } from './format';
import { useChanges, useNow } from './hooks';

/** A toolbar's or row's button that shows an icon; `label` is its name and its tooltip. */
export function IconButton(props: {
  icon: LabIcon;
  label: string;
  onClick: (event: MouseEvent<HTMLButtonElement>) => void;
  disabled?: boolean;
  pressed?: boolean;
  testId?: string;
}): ReactElement {
  return (
    <button
      type="button"
      className="atoll-IconButton"
      aria-label={props.label}
      aria-pressed={props.pressed}
      title={props.label}
      disabled={props.disabled}
      data-testid={props.testId}
      onClick={event => {
        event.stopPropagation();
        props.onClick(event);
      }}
    >
      <props.icon.react tag="span" className="atoll-icon" elementSize="normal" />
    </button>
  );
}

/** A button with words. */
export function TextButton(props: {
  children: ReactNode;
  onClick: () => void;
  disabled?: boolean;
  title?: string | undefined;
  primary?: boolean;
  /** Its name and tooltip, where the words alone say too little. */
  label?: string;
  /** Without a border: one of many in a list. */
  quiet?: boolean;
  testId?: string;
}): ReactElement {
  const primary = props.primary === true ? ' atoll-mod-primary' : '';
  const quiet = props.quiet === true ? ' atoll-mod-quiet' : '';
  return (
    <button
      type="button"
      className={`atoll-TextButton${primary}${quiet}`}
      disabled={props.disabled}
      aria-label={props.label}
      title={props.title ?? props.label}
      data-testid={props.testId}
      onClick={props.onClick}
    >
      {props.children}
    </button>
  );
}

/** What happened · what to do. */
export function ProblemView(props: { problem: Problem; onDismiss?: () => void }): ReactElement {
  const { detail, hint } = props.problem;
  return (
    <div className="atoll-Problem" role="alert" data-testid="atoll-problem">
      <span className="atoll-Problem-mark" aria-hidden="true">
        ▲
      </span>
      <div>
        <div>{detail}</div>
        {hint !== null && <div className="atoll-quiet">{hint}</div>}
      </div>
      {props.onDismiss !== undefined && (
        <button
          type="button"
          className="atoll-Problem-close"
          aria-label="Dismiss"
          title="Dismiss"
          onClick={props.onDismiss}
        >
          ×
        </button>
      )}
    </div>
  );
}

/** Says that the platform is slow or away, or the server stopped, for as long as it is. */
export function AwayBanner(props: { events: Events }): ReactElement | null {
  const { overdue } = props.events;
  useChanges(props.events.stateChanged, overdue.changed);
  const { state, silent, problem, startPage } = props.events;
  if (!silent || problem === null) {
    return overdue.any ? (
      <div className="atoll-Away" role="status" data-testid="atoll-slow">
        <strong>Waiting for the platform.</strong> It takes long to answer; what is shown here may
        not be the latest.
      </div>
    ) : null;
  }
  if (state === 'stopped') {
    return (
      <div className="atoll-Away atoll-mod-stopped" role="status" data-testid="atoll-stopped">
        <div>
          <strong>Your server is stopped;</strong> jobs go on.
        </div>
        <a className="atoll-TextButton atoll-mod-primary" href={startPage}>
          Start it again
        </a>
      </div>
    );
  }
  const title = problem.code === SERVER_AWAY ? null : <strong>The platform is away. </strong>;
  return (
    <div className="atoll-Away" role="status" data-testid="atoll-away">
      {title}
      {title === null ? <strong>{problem.detail}</strong> : problem.detail}
      {problem.hint !== null && <span className="atoll-quiet"> {problem.hint}</span>}
    </div>
  );
}

/** What stands where a list has nothing to show: why, and the first step. */
export function Empty(props: { title: string; children?: ReactNode }): ReactElement {
  return (
    <div className="atoll-Empty" data-testid="atoll-empty">
      <div className="atoll-Empty-title">{props.title}</div>
      {props.children}
    </div>
  );
}

/** How long ago, with the exact moment on hover. */
export function Ago(props: { time: string }): ReactElement {
  const now = useNow(30_000);
  const time = new Date(props.time);
  return (
    <time dateTime={props.time} title={exact(time)}>
      {relative(time, now)}
    </time>
  );
}

/** How long something took, or takes: counting while it has no end. */
export function Elapsed(props: { from: string; to: string | null }): ReactElement {
  const now = useNow(props.to === null ? 1000 : null);
  const end = props.to === null ? now : new Date(props.to);
  return (
    <span className="atoll-Elapsed">
      {duration(end.getTime() - new Date(props.from).getTime())}
    </span>
  );
}

/** A bar; without a share it only says that something goes on. */
export function ProgressBar(props: { share: number | null; label: string }): ReactElement {
  const { share } = props;
  return (
    <div
      className={`atoll-Progress${share === null ? ' atoll-mod-open' : ''}`}
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={share === null ? undefined : Math.round(share * 100)}
    >
      <div style={{ width: share === null ? undefined : `${String(share * 100)}%` }} />
    </div>
  );
}

/** A part of a panel that can be folded away, with a count. */
export function Section(props: {
  title: string;
  count?: number;
  children: ReactNode;
  testId?: string;
  folded?: boolean;
}): ReactElement {
  const [open, setOpen] = useState(props.folded !== true);
  const id = useId();
  const Caret = open ? caretDownIcon : caretRightIcon;
  return (
    <section className="atoll-Section" aria-labelledby={`${id}h`} data-testid={props.testId}>
      <h3 className="atoll-Section-title" id={`${id}h`}>
        <button
          type="button"
          aria-expanded={open}
          aria-controls={`${id}c`}
          onClick={() => setOpen(!open)}
        >
          <Caret.react tag="span" className="atoll-icon" elementSize="small" />
          <span>{props.title}</span>
          {props.count !== undefined && <span className="atoll-Section-count">{props.count}</span>}
        </button>
      </h3>
      <div id={`${id}c`} hidden={!open}>
        {open && props.children}
      </div>
    </section>
  );
}

/** Copies the text; says so for a moment. */
export function CopyButton(props: {
  text: string;
  label: string;
  /** Why there is nothing to copy. */
  obstacle?: string | null;
  children?: ReactNode;
}): ReactElement {
  const obstacle = props.obstacle ?? null;
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(props.text);
    setCopied(true);
    setTimeout(() => {
      setCopied(false);
    }, 1500);
  };
  return (
    <button
      type="button"
      className="atoll-TextButton"
      title={obstacle ?? props.label}
      aria-label={props.label}
      disabled={obstacle !== null}
      onClick={() => void copy()}
    >
      {copied ? 'Copied' : (props.children ?? 'Copy')}
    </button>
  );
}

export interface MenuEntry {
  label: string;
  run: () => void;
  disabled?: boolean;
  /** Begins a new group. */
  separated?: boolean;
}

/** Open a menu below the element that asked for it; the keyboard works in it as in any other. */
export function openMenu(anchor: HTMLElement, entries: MenuEntry[]): void {
  const commands = new CommandRegistry();
  const menu = new Menu({ commands });
  menu.addClass('atoll-Menu');
  entries.forEach((entry, index) => {
    const command = `entry-${String(index)}`;
    commands.addCommand(command, {
      label: entry.label,
      isEnabled: () => entry.disabled !== true,
      execute: entry.run
    });
    if (entry.separated === true) {
      menu.addItem({ type: 'separator' });
    }
    menu.addItem({ command });
  });
  menu.aboutToClose.connect(() => {
    anchor.focus();
    requestAnimationFrame(() => {
      menu.dispose();
    });
  });
  const { left, bottom } = anchor.getBoundingClientRect();
  menu.open(left, bottom);
  menu.activeIndex = 0;
}

/** One of several views of the same thing. */
export interface Tab {
  id: string;
  label: string;
  render: () => ReactNode;
}

export function Tabs(props: { tabs: Tab[]; label: string }): ReactElement {
  const [chosen, setChosen] = useState('');
  const id = useId();
  const current = props.tabs.find(tab => tab.id === chosen) ?? props.tabs[0];
  const move = (step: number): void => {
    const at = props.tabs.findIndex(tab => tab === current);
    const next = props.tabs[(at + step + props.tabs.length) % props.tabs.length];
    if (next !== undefined) {
      setChosen(next.id);
      document.getElementById(`${id}${next.id}`)?.focus();
    }
  };
  return (
    <div className="atoll-Tabs">
      <div role="tablist" aria-label={props.label} className="atoll-Tabs-bar">
        {props.tabs.map(tab => (
          <button
            key={tab.id}
            id={`${id}${tab.id}`}
            type="button"
            role="tab"
            aria-selected={tab === current}
            aria-controls={`${id}panel`}
            tabIndex={tab === current ? 0 : -1}
            onClick={() => setChosen(tab.id)}
            onKeyDown={event => {
              if (event.key === 'ArrowRight') {
                move(1);
              } else if (event.key === 'ArrowLeft') {
                move(-1);
              }
            }}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div
        role="tabpanel"
        id={`${id}panel`}
        aria-labelledby={current === undefined ? undefined : `${id}${current.id}`}
        className="atoll-Tabs-panel"
      >
        {current?.render()}
      </div>
    </div>
  );
}
