/** A small HTTP and WebSocket server that stands where a person's own Jupyter server is. */

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { ServerConnection } from '@jupyterlab/services';
import { WebSocket, WebSocketServer } from 'ws';

import { Api } from '../src/api';
import { Events, type Event } from '../src/events';
import { Overdue } from '../src/overdue';

export interface Call {
  method: string;
  /** Below `atoll/api/`, with its query. */
  path: string;
  body: unknown;
}

export interface Answer {
  status?: number;
  type?: string;
  body: unknown;
}

type Route = (call: Call) => Answer | Promise<Answer>;

/** Routes are found by `METHOD path` (of `atoll/info`: `GET info`) without the query; what is not found is a problem 404. */
export class Platform {
  readonly calls: Call[] = [];
  readonly routes: Record<string, Route> = {};
  /** Of the tab; people have more patience. */
  readonly overdue = new Overdue(50);
  /** How many tabs have connected so far. */
  connections = 0;

  private constructor(
    private readonly http: Server,
    private readonly sockets: WebSocketServer
  ) {}

  static async start(): Promise<Platform> {
    const http = createServer();
    const platform = new Platform(http, new WebSocketServer({ server: http }));
    platform.sockets.on('connection', () => {
      platform.connections++;
    });
    http.on('request', (request, response) => {
      void platform.answer(request).then(({ status = 200, type, body }) => {
        response.writeHead(status, { 'Content-Type': type ?? 'application/json' });
        response.end(
          status === 204 ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
        );
      });
    });
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve));
    return platform;
  }

  get settings(): ServerConnection.ISettings {
    const { port } = this.http.address() as AddressInfo;
    return ServerConnection.makeSettings({
      baseUrl: `http://127.0.0.1:${String(port)}/`,
      wsUrl: `ws://127.0.0.1:${String(port)}/`,
      token: '',
      WebSocket: WebSocket as unknown as typeof globalThis.WebSocket
    });
  }

  get api(): Api {
    return new Api(this.settings, this.overdue);
  }

  /** The connection to events; every attempt follows the one before at once. */
  events(): Events {
    return new Events(this.settings, '/hub/spawn/ada', this.overdue, () => 1);
  }

  get(path: string, body: unknown): void {
    this.routes[`GET ${path}`] = () => ({ body });
  }

  /** Say something to every tab. */
  say(message: object): void {
    for (const socket of this.sockets.clients) {
      socket.send(JSON.stringify(message));
    }
  }

  changed(kind: Event['kind'], subject: string, change: Event['change'] = 'changed'): void {
    this.say({ type: 'event', event: { id: 1, kind, subject, change } });
  }

  /** Drop every tab's connection. */
  drop(): void {
    for (const socket of this.sockets.clients) {
      socket.terminate();
    }
  }

  /** What was called so far, as `METHOD path`. */
  get said(): string[] {
    return this.calls.map(({ method, path }) => `${method} ${path}`);
  }

  async stop(): Promise<void> {
    this.drop();
    this.sockets.close();
    this.http.closeAllConnections();
    await new Promise(resolve => this.http.close(resolve));
  }

  private async answer(request: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk as Buffer);
    }
    const text = Buffer.concat(chunks).toString();
    const url = (request.url ?? '').replace(/^\/atoll\/(api\/)?/, '').replace(/[?&]\d{13}$/, '');
    const body = text === '' ? undefined : (JSON.parse(text) as unknown);
    const call: Call = { method: request.method ?? '', path: url, body };
    this.calls.push(call);
    const route = this.routes[`${call.method} ${url.split('?')[0] ?? ''}`];
    return route === undefined ? problem(404, 'not_found', 'There is no such thing.') : route(call);
  }
}

export function problem(
  status: number,
  code: string,
  detail: string,
  hint: string | null = null
): Answer {
  const body = { type: 'about:blank', status, code, title: code, detail, hint };
  return { status, type: 'application/problem+json', body };
}

export function page(items: unknown[], next: string | null = null): object {
  return { items, next };
}

/** Wait until it is so; the condition is looked at as often as the machine likes. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const end = Date.now() + 15_000; // a condition that comes true does so at once, if there is a CPU
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error(`${what} never came true`);
    }
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}
