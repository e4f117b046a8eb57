// Lexical search at 1,000 and 10,000 entries, beside a scan of every text for the query's words in the same run.
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { loadSource } from './lib.mjs';

const root = new URL('..', import.meta.url);
const sets = new URL('../shared/bench/retrieval/', root);
const setNames = ['metatool', 'seal-tools', 'bfcl', 'mcp-bench'];
const queryCount = 500;
const changeCount = 500;
/** The scan is so slow that fewer queries have to do. */
const scanCount = 100;

/** Prints one row a size: build, query and change times of the index and query times of the scan, in milliseconds. */
export async function run() {
  const { createLexicalIndex } = await loadSource('src/search/lexical-index.ts');
  const { parameterWords } = await loadSource('src/search/signature.ts');
  const entries = readSets('corpus.jsonl').map((entry) => toDocument(entry, parameterWords));
  const queries = pick(
    readSets('queries.jsonl').map(({ text }) => text),
    queryCount,
  );
  const isReal = entries.length > 0;
  const rows = [1_000, 10_000].map((size) =>
    measure(
      createLexicalIndex,
      enlarge(isReal ? entries : generate(2_000), size),
      isReal ? queries : generateQueries(),
    ),
  );
  console.log(
    `search: ${isReal ? 'entries and queries of the labelled sets' : 'generated entries and queries'}, times in ms`,
  );
  console.table(rows);
}

function measure(createLexicalIndex, entries, queries) {
  const index = createLexicalIndex();
  const buildMs = time(() => {
    for (const entry of entries) index.put(entry);
  });
  const warmUp = queries.slice(0, 50);
  for (const query of warmUp) index.search(query, 10);
  const asked = queries.map((query) => time(() => index.search(query, 10)));
  const changes = pick(entries, changeCount).map((entry) => ({
    removed: time(() => index.remove(entry.id)),
    added: time(() => index.put(entry)),
  }));
  const added = changes.map((change) => change.added);
  const removed = changes.map((change) => change.removed);
  const texts = entries.map((entry) => JSON.stringify(entry).toLowerCase());
  const scanned = pick(queries, scanCount).map((query) => time(() => scan(texts, query)));
  return {
    entries: entries.length,
    build: Math.round(buildMs),
    'query p50': percentile(asked, 0.5),
    'query p95': percentile(asked, 0.95),
    'add p50': percentile(added, 0.5),
    'add p99': percentile(added, 0.99),
    'remove p50': percentile(removed, 0.5),
    'remove p99': percentile(removed, 0.99),
    'scan p50': percentile(scanned, 0.5),
    'scan p95': percentile(scanned, 0.95),
  };
}

/** The baseline: counts how many of the query's words each text contains, and sorts. */
function scan(texts, query) {
  const words = query.toLowerCase().match(/\w+/g) ?? [];
  const found = texts.map((text, at) => [words.filter((word) => text.includes(word)).length, at]);
  return found
    .filter(([count]) => count > 0)
    .sort((a, b) => b[0] - a[0])
    .slice(0, 10);
}

function toDocument({ id, name, description, inputSchema, server }, parameterWords) {
  const parameters = parameterWords(inputSchema);
  return {
    id,
    name,
    description,
    useWhen: [],
    exampleRequests: [],
    parameters,
    tags: [],
    ...(server && { origin: server }),
  };
}

/** As many entries as asked; where there are too few they come again under other ids and names. */
function enlarge(entries, size) {
  return Array.from({ length: size }, (_, at) => {
    const entry = entries[(at * 7919) % entries.length];
    const round = Math.floor(at / entries.length);
    return { ...entry, id: `${entry.id}#${at}`, name: round === 0 ? entry.name : `${entry.name}_${round}` };
  });
}

function generate(size) {
  return Array.from({ length: size }, (_, at) => ({
    id: `tool${at}`,
    name: words(at, 3).join('_'),
    description: words(at + 1, 14).join(' '),
    useWhen: [],
    exampleRequests: [],
    parameters: words(at + 2, 20),
    tags: [],
  }));
}

function generateQueries() {
  return Array.from({ length: queryCount }, (_, at) => words(at * 31, 12).join(' '));
}

/** Made-up words, the low numbers much more often than the high ones, the same in every run. */
function words(seed, count) {
  let state = (seed + 1) * 2654435761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return `w${Math.floor(5_000 * (state / 2 ** 32) ** 3).toString(36)}x`;
  });
}

function readSets(file) {
  if (!existsSync(sets)) return [];
  return setNames.flatMap((name) =>
    readFileSync(new URL(`${name}/${file}`, sets), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
      .map((entry) => ({ ...entry, id: `${name}/${entry.id}` })),
  );
}

function pick(list, count) {
  const step = Math.max(1, Math.floor(list.length / count));
  return list.filter((_, at) => at % step === 0).slice(0, count);
}

function time(action) {
  const start = performance.now();
  action();
  return performance.now() - start;
}

function percentile(times, share) {
  const sorted = times.toSorted((a, b) => a - b);
  return Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(3));
}

/** Bundles one source file in memory: Node 20 does not run TypeScript. */

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run();
