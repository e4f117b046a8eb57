import {
  bin,
  connect,
  draft,
  echoServer,
  input1k,
  load,
  loadSource,
  percentile,
  save,
  table,
  temporaryHome,
} from './lib.mjs';

const saves = 40;

/**
 * A save with two examples: target < 500 ms, its type check < 150 ms, and over PostgreSQL < 20 ms more than over SQLite. The
 * baseline is a bare MCP call with the same input.
 */
export async function run() {
  const postgres = await startPostgres();
  const weaver = await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome() });
  const over = postgres && (await connect([bin, 'serve'], { TOOLWEAVER_HOME: temporaryHome(), ...postgres.env }));
  const echo = await connect([echoServer]);
  const examples = [
    { input: { id: 'a', items: [{ k: 'x', v: 2 }] }, output: { id: 'a', n: 1, sum: 2 } },
    { input: input1k, output: { id: 'abc', n: 28, sum: 1134 } },
  ];
  const at = performance.now();
  await save(weaver.client, draft('first_save', { examples }));
  const first = performance.now() - at;
  let n = 0;
  const next = () => draft(`save_${n++}`, { examples });
  const [saved, savedOver] = await inTurns(weaver, over, next);
  const typed = await load(saves, 1, () => save(weaver.client, typescript({ ...next(), name: `typed_${n}` })));
  const checked = await load(saves, 1, () => validate(weaver.client, typescript(next()), 'types'));
  const read = await load(saves, 1, () => validate(weaver.client, typescript(next()), 'syntax'));
  const bare = await load(saves, 1, () => echo.client.callTool({ name: 'echo', arguments: next() }));
  table(
    ['what', 'first ms', 'p50 ms', 'p95 ms'],
    [
      ['bare SDK echo server, same input', '', percentile(bare.samples, 0.5), percentile(bare.samples, 0.95)],
      ['save_skill with two examples', first, percentile(saved, 0.5), percentile(saved, 0.95)],
      ...(over ? [['the same over PostgreSQL', '', percentile(savedOver, 0.5), percentile(savedOver, 0.95)]] : []),
      ['the same in TypeScript', '', percentile(typed.samples, 0.5), percentile(typed.samples, 0.95)],
      ['validate_skill, level types', '', percentile(checked.samples, 0.5), percentile(checked.samples, 0.95)],
      ['validate_skill, level syntax', '', percentile(read.samples, 0.5), percentile(read.samples, 0.95)],
    ],
  );
  await over?.client.close();
  await postgres?.close();
  await weaver.client.close();
  await echo.client.close();
}

/** Milliseconds of saves to the one and to the other, so that a slow moment of the machine hits both. */
async function inTurns(one, other, next) {
  const samples = [[], []];
  for (let n = 0; n < saves; n++) {
    for (const [i, to] of [one, other].entries()) {
      if (!to) continue;
      const at = performance.now();
      await save(to.client, next());
      samples[i].push(performance.now() - at);
    }
  }
  return samples;
}

/** A PostgreSQL of its own that is as careful with the disk as SQLite is; undefined where its programs are missing. */
async function startPostgres() {
  const { needsPostgres, startPostgres } = await loadSource('test/helpers/postgres.ts');
  if (needsPostgres !== '') return undefined;
  const server = await startPostgres({ fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' });
  const address = await server.createDatabase();
  return { env: { DATABASE_URL: address }, close: () => server.close() };
}

const typescript = (fields) => ({
  ...fields,
  language: 'typescript',
  code: fields.code.replace('(input)', '(input: Input): Output').replace('item.v;', '(item.v ?? 0);'),
});

async function validate(client, fields, level) {
  const result = await client.callTool({
    name: 'call_tool',
    arguments: { name: 'validate_skill', input: { ...fields, level } },
  });
  if (!result.structuredContent?.valid) throw new Error(result.content[0].text);
}
