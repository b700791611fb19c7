/** What JupyterLab's modules take for granted in a browser and jsdom lacks. */

if (typeof window !== 'undefined') {
  Object.assign(window, {
    DragEvent: class extends MouseEvent {},
    matchMedia: () => ({
      matches: false,
      addListener: () => undefined,
      removeListener: () => undefined
    })
  });
}
