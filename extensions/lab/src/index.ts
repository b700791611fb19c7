/** Atoll in JupyterLab. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { checkpointsPlugin } from './checkpoints/plugin';
import { connectionLostPlugin } from './connectionlost';
import { datasetsPlugin } from './datasets/plugin';
import { jobsPlugin } from './jobs/plugin';
import { platformPlugin } from './platform';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  platformPlugin,
  connectionLostPlugin,
  checkpointsPlugin,
  datasetsPlugin,
  jobsPlugin
] as JupyterFrontEndPlugin<unknown>[];

export default plugins;
