/** What JupyterLab's modules take for granted in a browser and jsdom lacks, and patience. */

import { configure } from '@testing-library/react';

// What is looked for comes from a real HTTP server, which a busy machine may keep waiting.
configure({ asyncUtilTimeout: 15_000 });

if (typeof window !== 'undefined') {
  Element.prototype.scrollIntoView = () => undefined;
  Object.assign(window, {
    DragEvent: class extends MouseEvent {},
    ResizeObserver: class {
      observe = (): void => undefined;
      disconnect = (): void => undefined;
    },
    matchMedia: () => ({
      matches: false,
      addListener: () => undefined,
      removeListener: () => undefined
    })
  });
}
