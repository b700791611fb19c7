import { spawnSync } from 'node:child_process';

import { expect, test } from 'vitest';

import { cli, literal, sdk, type Asked } from '../../src/jobs/code';

function asked(given: Partial<Asked> = {}): Asked {
  return {
    values: {},
    environment: 'server',
    limit: null,
    retries: 0,
    files: [],
    resources: {},
    ...given
  };
}

test('what is as usual is not said', () => {
  expect(cli('report.ipynb', asked())).toBe('atoll jobs submit report.ipynb');
  expect(sdk('report.ipynb', asked())).toBe('import atoll\n\njob = atoll.submit("report.ipynb")');
});

test('values, environment, time limit and retries', () => {
  const values = { year: 2013, dry: true };
  const all = asked({ values, environment: 'last', limit: 5400, retries: 2 });
  expect(cli('a/report.ipynb', all)).toBe(
    'atoll jobs submit a/report.ipynb -p year=2013 -p dry=True --environment last --timeout 90m --retries 2'
  );
  expect(sdk('report.ipynb', all)).toContain(
    'atoll.submit("report.ipynb", parameters={"year": 2013, "dry": True}, environment="last", timeout=5400, retries=2)'
  );
});

test('files beside the notebook', () => {
  const some = asked({ files: ['data/x y.csv', '-odd', 'helpers/'] });
  expect(cli('r.ipynb', some)).toBe(
    "atoll jobs submit r.ipynb --with 'data/x y.csv' --with ./-odd --with helpers/"
  );
  expect(sdk('r.ipynb', some)).toContain('files=["data/x y.csv", "-odd", "helpers/"]');
});

test('resources', () => {
  const some = asked({ resources: { cpu: 0.5, memory: '4G', gpu: 1 } });
  expect(cli('r.ipynb', some)).toBe('atoll jobs submit r.ipynb --cpu 0.5 --memory 4G --gpu 1');
  expect(sdk('r.ipynb', some)).toContain('("r.ipynb", cpu=0.5, memory="4G", gpu=1)');
});

test('text that looks like a number stays text in the shell', () => {
  const line = cli('x.ipynb', asked({ values: { code: '007', word: 'UA', none: 'None' } }));
  expect(line).toBe('atoll jobs submit x.ipynb -r code=007 -p word=UA -r none=None');
});

test('lists and objects have no form in the shell', () => {
  expect(cli('x.ipynb', asked({ values: { origins: ['JFK'] } }))).toBeNull();
  expect(sdk('x.ipynb', asked({ values: { o: { a: [null, 1.5] } } }))).toContain(
    'parameters={"o": {"a": [None, 1.5]}}'
  );
});

test('whatever a file or a value is called, the shell sees one word', () => {
  const evil = `it's "$(rm -rf ~)" \`x\` ü; & |`;
  const line = cli(evil, asked({ values: { note: `${evil}\n` } })) ?? '';
  const words = line.replace('atoll jobs submit', 'printf "%s\\0"');
  const { stdout } = spawnSync('sh', ['-c', words], { encoding: 'utf8' });
  expect(stdout.split('\0')).toEqual([evil, '-p', `note=${evil}\n`, '']);
});

test('a file that looks like an option is none', () => {
  expect(cli('-x.ipynb', asked())).toBe('atoll jobs submit ./-x.ipynb');
});

test('Python reads every value as it was meant', () => {
  const value = { text: 'é "q" \\ \n', none: null, yes: true, list: [1, -2.5, []], none2: {} };
  const program = `import json; print(json.dumps(${literal(value)}))`;
  const { stdout } = spawnSync('python3', ['-c', program], { encoding: 'utf8' });
  expect(JSON.parse(stdout)).toEqual(value);
});
