/** A job's log on the screen: its end stays in view until one scrolls up. */

import { useEffect, useLayoutEffect, useMemo, useRef, type ReactElement } from 'react';

import { SERVER_STOPPED } from '../api';
import { useChanges } from '../views/hooks';
import { CopyButton, ProblemView } from '../views/parts';
import { plain, type JobLog } from './log';

/** So near to the end (pixels) one means the end. */
const NEAR = 24;

export function LogView(props: { log: JobLog; name: string }): ReactElement {
  const { log, name } = props;
  useChanges(log.changed);
  useEffect(() => log.follow(), [log]);
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const { text } = log;
  const lines = useMemo(() => plain(text), [text]);
  const toEnd = (): void => {
    if (following.current && box.current !== null) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  };
  useLayoutEffect(toEnd, [lines]);
  const some = lines !== '';
  useEffect(() => {
    // What stands above it changes when the job ends, and with it the room that is left.
    if (box.current === null) {
      return;
    }
    const resized = new ResizeObserver(toEnd);
    resized.observe(box.current);
    return () => {
      resized.disconnect();
    };
  }, [some]);
  const empty = log.complete ? 'It wrote nothing.' : 'Nothing yet: what it writes appears here.';
  return (
    <>
      {/* That the server is stopped is said once, above. */}
      {log.problem !== null && log.problem.code !== SERVER_STOPPED && (
        <ProblemView problem={log.problem} />
      )}
      {lines === '' ? (
        <p className="atoll-quiet">{empty}</p>
      ) : (
        <>
          {log.cut && <p className="atoll-quiet">The beginning of this long log is left out.</p>}
          <div
            ref={box}
            className="atoll-Log"
            role="log"
            aria-label={`Log of ${name}`}
            // Scrolled with the keyboard, so it takes the focus.
            // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
            tabIndex={0}
            data-testid="atoll-job-log"
            onScroll={event => {
              const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
              following.current = scrollHeight - scrollTop - clientHeight < NEAR;
            }}
          >
            <pre>{lines}</pre>
          </div>
          <div className="atoll-Buttons">
            <CopyButton text={lines} label="Copy the log" />
            {!log.complete && log.problem === null && (
              <span className="atoll-quiet">It goes on by itself.</span>
            )}
          </div>
        </>
      )}
    </>
  );
}
