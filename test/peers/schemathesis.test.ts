import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readDraft } from '../../src/cli/draft-file.ts';
import { packageRoot } from '../../src/package.ts';
import { draft } from '../helpers/app.ts';
import { makeHome } from '../helpers/process.ts';
import { askingServer, hasPeers, peersMissing, pythonProgram, run } from './foreign.ts';
import { homeWith } from './homes.ts';
import { serveHttp } from './servers.ts';

const example = (name: string) => readDraft(join(packageRoot, 'examples', name));

/** A skill whose schemas use what OpenAPI documents often get wrong: references, patterns, choices, bounds, nothing required. */
// Twice the largest number is none that JSON can hold.
const double = draft({
  input_schema: {
    type: 'object',
    properties: { x: { type: 'number', minimum: -1e9, maximum: 1e9 } },
    required: ['x'],
    additionalProperties: false,
  },
});

const orders = draft({
  name: 'orders',
  description: 'Sums the lines of an order.',
  code: 'export default (input) => ({ lines: (input.lines ?? []).length, kind: input.kind ?? "none" });',
  input_schema: {
    type: 'object',
    $defs: { line: { type: 'object', properties: { sku: { type: 'string', pattern: '^[A-Z]{2}-[0-9]+$' } } } },
    properties: {
      lines: { type: 'array', maxItems: 5, items: { $ref: '#/$defs/line' } },
      kind: { enum: ['gift', 'sale'] },
    },
    additionalProperties: false,
  },
  output_schema: {
    type: 'object',
    $defs: { kind: { enum: ['gift', 'sale', 'none'] } },
    properties: { lines: { type: 'integer', minimum: 0 }, kind: { $ref: '#/$defs/kind' } },
    required: ['lines', 'kind'],
  },
  examples: [{ input: {}, output: { lines: 0, kind: 'none' } }],
});

// What schemas cannot say: a draft that fails its checks or a skill that throws is 422, and what `call_tool` is handed must
// fit the schema of the tool that it names.
const settings = (runId: string): string => `
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422"]
[parameters]
"path.id" = "${runId}"
[[operations]]
include-operation-id = ["call_tool", "call_read_tool"]
checks.positive_data_acceptance.enabled = false
`;

it.skipIf(!hasPeers)(
  `schemathesis finds nothing in the JSON API that its OpenAPI document does not say, and no 5xx${peersMissing}`,
  async () => {
    const skills = [double, orders, ...(await Promise.all(['csv_summary', 'csv_headline', 'top_rows'].map(example)))];
    const home = await homeWith(skills);
    const { url, token, log } = await serveHttp({ home, env: { TOOLWEAVER_APPROVAL: 'auto' }, script: askingServer });
    const headers = { authorization: `Bearer ${token}` };
    const asked = await fetch(`${url}/v1/tools/ask_name`, { method: 'POST', headers });
    const { run_id } = (await asked.json()) as { run_id: string };
    const cwd = makeHome();
    const file = join(cwd, 'schemathesis.toml');
    writeFileSync(file, settings(run_id));
    const args = [
      '--config-file',
      file,
      'run',
      `${url}/v1/openapi.json`,
      ...['--header', `Authorization: Bearer ${token}`],
      ...['--max-examples', '20', '--no-color'],
      ...['--generation-deterministic'],
    ];
    const { code, stdout, stderr } = await run(pythonProgram('schemathesis'), args, { cwd });
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/(\d{4}) generated, \1 passed/);
    expect(log()).toBe('');
  },
);
