/** Atoll's own icons; all others are JupyterLab's. */

import { LabIcon } from '@jupyterlab/ui-components';

import datasets from '../../style/icons/datasets.svg';
import environment from '../../style/icons/environment.svg';
import jobs from '../../style/icons/jobs.svg';
import pin from '../../style/icons/pin.svg';
import runAsJob from '../../style/icons/runasjob.svg';

export const datasetsIcon = new LabIcon({ name: 'atoll:datasets', svgstr: datasets });
export const environmentIcon = new LabIcon({ name: 'atoll:environment', svgstr: environment });
export const jobsIcon = new LabIcon({ name: 'atoll:jobs', svgstr: jobs });
export const pinIcon = new LabIcon({ name: 'atoll:pin', svgstr: pin });
export const runAsJobIcon = new LabIcon({ name: 'atoll:run-as-job', svgstr: runAsJob });
