// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Inspection, Job } from '../../src/api';
import type { Events } from '../../src/events';
import { RunForm } from '../../src/jobs/form';
import { JobsModel } from '../../src/jobs/model';
import type { Source } from '../../src/jobs/source';
import { Platform, problem } from '../platform';
import { changed, DIGEST, INFO, inspection, job, LIMITS, parameter, server } from '../things';

let platform: Platform;
let events: Events;
let model: JobsModel;
let submitted: Job[];
let closed: number;

const SOURCE: Source = {
  name: 'report.ipynb',
  path: 'work/report.ipynb',
  notebook: { cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 }
};

beforeEach(async () => {
  platform = await Platform.start();
  platform.get('servers/ada/-', server());
  platform.routes['POST jobs'] = () => ({ status: 201, body: job({ id: 'new' }) });
  events = platform.events();
  model = new JobsModel(platform.api, events, INFO);
  submitted = [];
  closed = 0;
});

afterEach(async () => {
  cleanup();
  model.dispose();
  events.dispose();
  await platform.stop();
});

async function shown(found: Partial<Inspection> = {}, source = SOURCE): Promise<HTMLElement> {
  platform.routes['POST jobs/inspect'] = () => ({ body: inspection(found) });
  render(
    <RunForm
      model={model}
      source={source}
      close={() => closed++}
      submitted={one => submitted.push(one)}
    />
  );
  return screen.findByRole('form', { name: `Run ${source.name} as a job` });
}

function type(label: RegExp, text: string): void {
  fireEvent.change(screen.getByLabelText(label), { target: { value: text } });
}

function press(name: string): void {
  fireEvent.click(screen.getByRole('button', { name }));
}

/** What the platform was asked to run. */
function request(): Record<string, unknown> | undefined {
  const call = platform.calls.find(one => one.method === 'POST' && one.path === 'jobs');
  return call?.body as Record<string, unknown> | undefined;
}

test('each parameter is a field of its type, with what the notebook says of it', async () => {
  await shown({
    parameters: [
      parameter({ help: 'the year of the flights' }),
      parameter({ name: 'dry', type: 'bool', default: true, source: 'True' }),
      parameter({ name: 'origins', type: 'list', default: ['JFK'], source: '["JFK"]' }),
      parameter({ name: 'since', type: 'other', default: null, source: 'now()' })
    ]
  });
  expect(screen.getByLabelText<HTMLInputElement>(/^year/).value).toBe('2013');
  expect(screen.getByText('the year of the flights', { exact: false })).toBeTruthy();
  expect(screen.getByLabelText<HTMLInputElement>('dry').checked).toBe(true);
  expect(screen.getByLabelText(/^origins/).tagName).toBe('TEXTAREA');
  expect(screen.getByLabelText(/^since/).getAttribute('placeholder')).toBe('now()');
});

test('what is typed is what the job is given, and only that', async () => {
  await shown({
    parameters: [parameter(), parameter({ name: 'carrier', type: 'str', default: 'UA' })]
  });
  type(/^year/, '2012');
  press('Run');
  await waitFor(() => expect(submitted.map(one => one.id)).toEqual(['new']));
  expect(closed).toBe(1);
  expect(request()).toEqual({
    name: 'report.ipynb',
    folder: 'work',
    notebook: SOURCE.notebook,
    parameters: { year: 2012 },
    environment: 'server',
    timeout_s: null,
    retries: 0
  });
});

test('the last values are there, and the way back to the notebook’s own', async () => {
  await shown({ last_values: { year: 2011 } });
  const year = screen.getByLabelText<HTMLInputElement>(/^year/);
  expect(year.value).toBe('2011');
  expect(screen.getByText(/value of your last run/)).toBeTruthy();
  press('Back to 2013');
  expect(year.value).toBe('2013');
});

test('a mistake is told at its field, and nothing is submitted', async () => {
  const form = await shown();
  type(/^year/, 'soon');
  press('Run');
  const field = within(form).getByTestId('atoll-parameter-year');
  expect(within(field).getByText('Write a whole number.')).toBeTruthy();
  expect(screen.getByLabelText(/^year/).getAttribute('aria-invalid')).toBe('true');
  expect(document.activeElement).toBe(screen.getByLabelText(/^year/));
  expect(request()).toBeUndefined();
});

test('a refusal stays in the form with what to do', async () => {
  platform.routes['POST jobs'] = () =>
    problem(422, 'invalid', 'It asks for the kernel julia.', 'Choose another and save it.');
  await shown();
  press('Run');
  const alert = await screen.findByRole('alert');
  expect(alert.textContent).toContain('It asks for the kernel julia.');
  expect(alert.textContent).toContain('Choose another and save it.');
  expect(closed).toBe(0);
});

test('a notebook that cannot be read is told, and may be tried again', async () => {
  platform.routes['POST jobs/inspect'] = () => problem(422, 'invalid', 'This is no notebook.');
  render(<RunForm model={model} source={SOURCE} close={() => closed++} submitted={() => 0} />);
  expect((await screen.findByRole('alert')).textContent).toContain('This is no notebook.');
  platform.routes['POST jobs/inspect'] = () => ({ body: inspection() });
  press('Try again');
  await screen.findByRole('form');
  const asked = platform.calls.filter(call => call.path === 'jobs/inspect').at(-1);
  expect(asked?.body).toEqual({ name: SOURCE.name, folder: 'work', notebook: SOURCE.notebook });
});

test('environment and time limit are sent as chosen', async () => {
  await shown();
  type(/^Environment/, 'base');
  type(/^Time limit/, '1.5');
  type(/^Unit of the time limit/, 'h');
  press('Run');
  await waitFor(() => expect(request()).toMatchObject({ environment: 'base', timeout_s: 5400 }));
});

test('a job that may fail is run again as often as is chosen', async () => {
  await shown();
  type(/^If it fails/, '2');
  press('Run');
  await waitFor(() => expect(request()).toMatchObject({ retries: 2 }));
});

test('what is not saved yet is counted before it is', async () => {
  const unsaved = {
    packages: [changed('polars', null, '2')],
    directories: [],
    files: 1,
    size: 1
  };
  platform.get('servers/ada/-', server({ unsaved }));
  await shown();
  expect(await screen.findByText('1 change will be saved first.')).toBeTruthy();
});

test('the same in code follows what is typed', async () => {
  await shown();
  type(/^year/, '2012');
  press('Show the code');
  expect(screen.getByLabelText('As CLI').textContent).toBe(
    'atoll jobs submit work/report.ipynb -p year=2012'
  );
  expect(screen.getByLabelText('As SDK').textContent).toContain(
    'atoll.submit("report.ipynb", parameters={"year": 2012})'
  );
});

test('an emptied field says with what the job runs then', async () => {
  await shown({
    parameters: [
      parameter(),
      parameter({ name: 'rate', type: 'float', default: 0.5, source: '0.5' })
    ]
  });
  expect(screen.queryByText(/^Left empty/)).toBeNull();
  type(/^year/, ' ');
  const field = screen.getByTestId('atoll-parameter-year');
  expect(within(field).getByText('Left empty, it is 2013, the notebook’s own.')).toBeTruthy();
  press('Run');
  await waitFor(() => expect(request()).toMatchObject({ parameters: {} }));
});

test('what has no form in the shell says so where its command would be', async () => {
  const list = parameter({ name: 'origins', type: 'list', default: ['JFK'], source: '["JFK"]' });
  await shown({ parameters: [list] });
  const copy = screen.getByRole<HTMLButtonElement>('button', { name: 'Copy as CLI' });
  expect(copy.disabled).toBe(false);
  type(/^origins/, '["EWR"]');
  expect(copy.disabled).toBe(true);
  expect(copy.title).toContain('takes no lists and objects');
  press('Show the code');
  expect(screen.queryByLabelText('As CLI')).toBeNull();
  expect(screen.getByText(/takes no lists and objects/)).toBeTruthy();
});

test('without parameters it says how to get some', async () => {
  await shown({ parameters: [] });
  expect(screen.getByTestId('atoll-no-parameters').textContent).toContain('tag that cell');
});

test('an earlier run begins with its own values and environment', async () => {
  await shown(
    { last_values: { year: 1999 } },
    { ...SOURCE, values: { year: 2010 }, digest: DIGEST }
  );
  expect(screen.getByLabelText<HTMLInputElement>(/^year/).value).toBe('2010');
  press('Run');
  await waitFor(() => expect(request()).toMatchObject({ environment: DIGEST }));
});

test('a parameter called as a field of the form is not taken for it', async () => {
  await shown({
    parameters: [parameter({ name: 'environment', type: 'str', default: 'prod' })]
  });
  type(/^environment/, 'test');
  press('Run');
  await waitFor(() =>
    expect(request()).toMatchObject({ environment: 'server', parameters: { environment: 'test' } })
  );
});

test('files are captured by the person’s own server', async () => {
  platform.routes['POST submit'] = () => ({ status: 201, body: job({ id: 'new' }) });
  await shown();
  type(/^Files/, ' data/x.csv\n\nhelpers/ \n');
  press('Run');
  await waitFor(() => expect(submitted.map(one => one.id)).toEqual(['new']));
  const call = platform.calls.find(one => one.path === 'submit');
  expect(call?.body).toMatchObject({
    job: { name: 'report.ipynb', folder: 'work' },
    files: ['data/x.csv', 'helpers/']
  });
  expect(request()).toBeUndefined();
});

test('a file that cannot be captured is told in the form', async () => {
  platform.routes['POST submit'] = () => problem(422, 'invalid', 'There is no such file.');
  await shown();
  type(/^Files/, 'nowhere.csv');
  press('Run');
  expect((await screen.findByRole('alert')).textContent).toContain('There is no such file.');
  expect(closed).toBe(0);
});

test('the files of an earlier run are given again, unless one says others', async () => {
  platform.routes['POST submit'] = () => ({ status: 201, body: job({ id: 'new' }) });
  await shown({}, { ...SOURCE, given: { job: 'j-1', files: 3 } });
  expect(screen.queryByLabelText(/^Files/)).toBeNull();
  press('Run');
  await waitFor(() => expect(request()).toMatchObject({ files_of: 'j-1' }));
  cleanup();
  await shown({}, { ...SOURCE, given: { job: 'j-1', files: 3 } });
  fireEvent.click(screen.getByLabelText('With the 3 files of that run'));
  type(/^Files/, 'other.csv');
  press('Run');
  await waitFor(() => expect(platform.said).toContain('POST submit'));
  const call = platform.calls.find(one => one.path === 'submit');
  expect(call?.body).not.toHaveProperty('job.files_of');
});

function resources(): HTMLElement {
  return screen.getByRole('button', { name: /^Resources/ });
}

test('where jobs have what their machine has, there is nothing to ask for', async () => {
  await shown();
  expect(screen.queryByRole('group', { name: 'Resources' })).toBeNull();
});

test('resources are closed, say what a job gets, and nothing is asked for', async () => {
  await shown({ resources: LIMITS });
  expect(resources().textContent).toBe('Resources as usual: 1 CPU, 2G of memory');
  expect(screen.queryByLabelText('CPUs')).toBeNull();
  press('Run');
  await waitFor(() => expect(request()).toBeDefined());
  expect(request()).not.toHaveProperty('resources');
});

test('what is asked for is sent, and said in words and in code', async () => {
  await shown({ resources: LIMITS });
  fireEvent.click(resources());
  type(/^CPUs/, '4');
  type(/^Memory/, '16 GB');
  type(/^GPUs/, '1');
  expect(resources().textContent).toBe('Resources 4 CPUs, 16G of memory, 1 GPU');
  press('Show the code');
  expect(screen.getByLabelText('As CLI').textContent).toContain('--cpu 4 --memory 16G --gpu 1');
  press('Run');
  await waitFor(() =>
    expect(request()).toMatchObject({ resources: { cpu: 4, memory: '16G', gpu: 1 } })
  );
});

test('more than is allowed is told at its field, which stays in sight', async () => {
  await shown({ resources: { ...LIMITS, gpu_most: 0 } });
  fireEvent.click(resources());
  expect(screen.queryByLabelText(/^GPUs/)).toBeNull();
  type(/^Memory/, '64G');
  fireEvent.click(resources());
  press('Run');
  expect(screen.getByText('A job may have 32G at most.')).toBeTruthy();
  expect(document.activeElement).toBe(screen.getByLabelText(/^Memory/));
  expect(request()).toBeUndefined();
});

test('a refusal of what is asked for stays in the form', async () => {
  platform.routes['POST jobs'] = () =>
    problem(422, 'invalid', 'A job may have 2 CPUs at most; 4 were asked for.', 'Ask for less.');
  await shown({ resources: LIMITS });
  fireEvent.click(resources());
  type(/^CPUs/, '4');
  press('Run');
  expect((await screen.findByRole('alert')).textContent).toContain('A job may have 2 CPUs at most');
  expect(closed).toBe(0);
});

test('an earlier run begins with what it asked for', async () => {
  await shown({ resources: LIMITS }, { ...SOURCE, resources: { cpu: 2, memory: null, gpu: null } });
  expect(resources().textContent).toBe('Resources 2 CPUs');
  press('Run');
  await waitFor(() => expect(request()).toMatchObject({ resources: { cpu: 2 } }));
});
