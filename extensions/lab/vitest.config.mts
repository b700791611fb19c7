import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.{ts,tsx}'],
    environment: 'node',
    setupFiles: ['tests/browser.ts'],
    // Its imports lack the endings that Node asks for.
    server: {
      deps: { inline: [/@jupyter\/web-components/, /@jupyter\/react-components/, /@jupyterlab\//] }
    },
    testTimeout: 30_000 // of a machine that is busy; what is waited for has limits of its own
  }
});
