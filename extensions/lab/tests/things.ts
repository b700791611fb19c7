/** Jobs, datasets and checkpoints as the platform answers them; tests say what is different. */

import type {
  Checkpoint,
  Column,
  Dataset,
  Info,
  Inspection,
  Job,
  Package,
  Parameter,
  ResourceLimits,
  Server
} from '../src/api';

export const INFO: Info = {
  present: true,
  user: 'ada',
  server: '',
  hubPrefix: '/hub/',
  apiVersion: 'v1',
  notice: ''
};

export const DIGEST = `sha256:${'4f9ac27b31d0'.repeat(5)}abcd`;

export function job(given: Partial<Job> = {}): Job {
  return {
    id: 'j-1',
    name: 'report.ipynb',
    folder: '',
    user: 'ada',
    server: '',
    parameters: {},
    environment: DIGEST,
    environment_choice: 'server',
    queue: 'default',
    target: 'done',
    status: 'succeeded',
    reason: null,
    message: null,
    position: null,
    step: { cell: 0, cells: 0 },
    failure: null,
    timeout_s: 7200,
    retries: 0,
    retry_of: null,
    retried_by: null,
    created_at: '2026-11-24T17:00:00Z',
    started_at: null,
    finished_at: null,
    datasets: [],
    resources: { cpu: null, memory: null, gpu: null },
    resources_unused: false,
    files: { count: 0, size: 0 },
    ...given
  };
}

export function changed(name: string, before: string | null, after: string | null): Package {
  return { name, before, after, kind: 'python' };
}

export function parameter(given: Partial<Parameter> = {}): Parameter {
  return { name: 'year', default: 2013, source: '2013', type: 'int', help: '', ...given };
}

export function inspection(given: Partial<Inspection> = {}): Inspection {
  return {
    parameters: [parameter()],
    kernel: 'python3',
    code_cells: 3,
    last_values: {},
    resources: null,
    ...given
  };
}

export const LIMITS: ResourceLimits = {
  cpu: 1,
  cpu_most: 8,
  memory: '2G',
  memory_most: '32G',
  gpu_most: 4
};

export function column(given: Partial<Column> = {}): Column {
  return {
    name: 'year',
    type: 'BIGINT',
    missing: 0,
    minimum: '2013',
    maximum: '2013',
    histogram: [],
    ...given
  };
}

export function dataset(given: Partial<Dataset> = {}): Dataset {
  return {
    id: 'd-1',
    name: 'flights',
    owner: '',
    description: '',
    format: 'csv',
    location: null,
    status: 'ready',
    reason: null,
    message: null,
    columns: [column()],
    partitions: [],
    rows: 336_776,
    rows_exact: true,
    size: 31_053_850,
    source_modified_at: null,
    probed_at: '2026-11-24T17:00:00Z',
    created_at: '2026-11-24T16:00:00Z',
    grants: [],
    ...given
  };
}

export function checkpoint(given: Partial<Checkpoint> = {}): Checkpoint {
  return {
    id: 'c-1',
    user: 'ada',
    server: '',
    trigger: 'stop',
    note: '',
    pinned: false,
    status: 'ready',
    reason: null,
    message: null,
    progress: { done: 0, total: 0 },
    digest: DIGEST,
    parent: null,
    base: null,
    base_name: 'base',
    platform_version: '0.1.0',
    too_old: null,
    job: null,
    current: false,
    left: false,
    layer_size: 0,
    size: 0,
    changes: null,
    left_out: [],
    shared_with: [],
    created_at: '2026-11-24T17:00:00Z',
    finished_at: '2026-11-24T17:00:05Z',
    ...given
  };
}

export function server(given: Partial<Server> = {}): Server {
  return {
    user: 'ada',
    name: '',
    target: 'running',
    status: 'running',
    version: 1,
    reason: null,
    message: null,
    progress: { done: 0, total: 0 },
    environment: DIGEST,
    continues_from: null,
    base_name: 'base',
    saved_at: null,
    unsaved: null,
    failed_start: false,
    ended_why: null,
    ...given
  };
}
