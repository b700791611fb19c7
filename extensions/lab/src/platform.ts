/** The platform as all of Atoll's plugins share it: calls, events, and who this server is. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { Token } from '@lumino/coreutils';

import { Api, startPage, type Info } from './api';
import { Events } from './events';
import { Overdue } from './overdue';

export interface IPlatform {
  readonly api: Api;
  readonly events: Events;
  readonly info: Info;
}

export const IPlatform = new Token<IPlatform>(
  '@atoll/lab:IPlatform',
  'Calls to the Atoll platform, its events, and who this server is to it.'
);

/** What is assumed where even this server does not say: nothing works, and the panels say so. */
const UNKNOWN: Info = {
  present: false,
  user: '',
  server: '',
  hubPrefix: '/hub/',
  apiVersion: '',
  notice: ''
};

export const platformPlugin: JupyterFrontEndPlugin<IPlatform> = {
  id: '@atoll/lab:platform',
  description: 'Connects the lab with the Atoll platform.',
  autoStart: true,
  provides: IPlatform,
  activate: async (app: JupyterFrontEnd): Promise<IPlatform> => {
    const settings = app.serviceManager.serverSettings;
    const overdue = new Overdue();
    const api = new Api(settings, overdue);
    let info = UNKNOWN;
    try {
      info = await api.info();
    } catch (error) {
      console.warn('Atoll: this server does not say who it is.', error);
    }
    if (info.notice !== '') {
      Notification.warning(info.notice, { autoClose: false });
    }
    const events = new Events(settings, startPage(info), overdue);
    events.connect();
    return { api, events, info };
  }
};
