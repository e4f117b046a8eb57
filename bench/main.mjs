// npm run bench [-- NAME …]: call, http, sessions, start, list, save, sandbox, search, cache; soak only by its name, it takes
// an hour. Figures belong into docs/benchmarks.md.
import { cpus, totalmem } from 'node:os';

const names = ['call', 'http', 'sessions', 'start', 'list', 'save', 'sandbox', 'search', 'cache'];
const wanted = process.argv.slice(2);
const all = [...names, 'soak'];
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`error [bad_input] no bench named ${unknown.join(', ')}\nhint: there are ${all.join(', ')}\n`);
  process.exit(2);
}
const gib = Math.round(totalmem() / 2 ** 30);
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, ${gib} GiB, node ${process.version}\n`,
);
for (const name of wanted.length > 0 ? wanted : names) {
  process.stdout.write(`\n## ${name}\n\n`);
  const { run } = await import(`./${name}.mjs`);
  await run();
}
process.exit(0);
