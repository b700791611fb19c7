/** What changed in an environment, line by line. */

import { useEffect, useState, type ReactElement } from 'react';

import { asProblem, type Changes, type Checkpoint, type Problem } from '../api';
import { plural, size } from '../views/format';
import { ProblemView, TextButton } from '../views/parts';
import { lines } from './describe';
import type { EnvironmentModel } from './model';

/** Lines shown before one asks for all; an environment may hold hundreds. */
const SHORT = 12;

export function ChangeList(props: { changes: Changes }): ReactElement {
  const [all, setAll] = useState(false);
  const every = lines(props.changes);
  const shown = all || every.length <= SHORT + 1 ? every : every.slice(0, SHORT);
  return (
    <>
      <ul className="atoll-Changes" data-testid="atoll-changes">
        {shown.map(line => (
          <li key={`${line.what} ${line.detail}`}>
            <span className={`atoll-Changes-mark atoll-mod-${line.mood}`} aria-hidden="true">
              {line.mark}
            </span>
            <span className="atoll-hidden">{line.spoken} </span>
            <span className="atoll-Changes-what">{line.what}</span>{' '}
            <span className="atoll-quiet">{line.detail}</span>
          </li>
        ))}
      </ul>
      {shown.length < every.length && (
        <TextButton onClick={() => setAll(true)}>
          {`Show ${String(every.length - shown.length)} more`}
        </TextButton>
      )}
    </>
  );
}

/** What a checkpoint changed, fetched when it is looked at. */
export function CheckpointChanges(props: {
  model: EnvironmentModel;
  checkpoint: Checkpoint;
  against: 'parent' | 'base';
}): ReactElement {
  const { model, checkpoint, against } = props;
  const [changes, setChanges] = useState<Changes | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    let wanted = true;
    model
      .changes(checkpoint, against)
      .then(answer => wanted && setChanges(answer))
      .catch((error: unknown) => wanted && setProblem(asProblem(error)));
    return () => {
      wanted = false;
    };
    // A finished checkpoint never changes: its id says it all.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [model, checkpoint.id, against]);
  if (problem !== null) {
    return <ProblemView problem={problem} />;
  }
  if (changes === null) {
    return <p className="atoll-quiet">Loading…</p>;
  }
  if (changes.packages.length + changes.directories.length === 0) {
    return <p className="atoll-quiet">Nothing differs.</p>;
  }
  return (
    <>
      <ChangeList changes={changes} />
      <p className="atoll-quiet">
        {plural(changes.files, 'file')}, {size(changes.size)} in all
      </p>
    </>
  );
}
