/** What a person installed into the home instead of the environment: no checkpoint has it. */

import type { ReactElement } from 'react';

import type { Elsewhere } from '../api';
import { plural } from '../views/format';

const NAMED = 5;

export function ElsewhereNote(props: { elsewhere: Elsewhere | null }): ReactElement | null {
  const { elsewhere } = props;
  if (elsewhere === null) {
    return null;
  }
  const { packages, package_count, environments } = elsewhere;
  if (package_count === 0 && environments.length === 0) {
    return null;
  }
  return (
    <div className="atoll-Notice" role="note" data-testid="atoll-elsewhere">
      <div>
        {package_count > 0 && (
          <div title="~/.local">
            {plural(package_count, 'package')} {package_count === 1 ? 'lies' : 'lie'} in your home,
            not in this environment:{' '}
            {named(
              packages.map(one => `${one.name} ${one.version}`),
              package_count
            )}
            .
          </div>
        )}
        {environments.length > 0 && (
          <div>
            {plural(environments.length, 'environment')}{' '}
            {environments.length === 1 ? 'lies' : 'lie'} in your home:{' '}
            {named(
              environments.map(one => `~/${one.path}`),
              environments.length
            )}
            .
          </div>
        )}
        <div className="atoll-quiet">
          They are in no checkpoint, and jobs and colleagues may not have them. What you install
          with %pip install is.
        </div>
      </div>
    </div>
  );
}

/** The first few, and how many more there are. */
function named(names: readonly string[], all: number): string {
  const first = names.slice(0, NAMED);
  const more = all - first.length;
  return first.join(', ') + (more > 0 ? ` and ${String(more)} more` : '');
}
