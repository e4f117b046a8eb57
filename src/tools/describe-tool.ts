import * as z from 'zod';
import { type Catalog, splitName, type ToolSource, unknownTool } from '../catalog/catalog.ts';
import { mayUse } from '../catalog/grants.ts';
import type { Tool } from '../catalog/tool.ts';
import { describeTypes } from '../code/context-type.ts';
import type { Capabilities } from '../contracts.ts';
import { sealedManifest } from '../library/seal.ts';
import { getVersion, listVersions } from '../library/table.ts';
import { compactSignature } from '../search/signature.ts';
import { readBlob } from '../store/blobs.ts';
import type { Cache } from '../store/cache.ts';
import type { Database } from '../store/database.ts';
import type { Db } from '../store/tables.ts';
import { defineBuiltin } from './builtin.ts';

export interface DescribeParts {
  catalog: () => Catalog;
  source: ToolSource;
  database: Database;
  /** For the texts of versions. */
  texts: Cache;
}

/** `describe_tool`: all that is known about one tool. */
export function describeTool({ catalog, source, database, texts }: DescribeParts): Tool {
  return defineBuiltin({
    name: 'describe_tool',
    title: 'Describe a tool',
    description:
      'Everything about one tool: input and output schemas, signature, examples, risk, what it uses, versions and, if asked, its source code.',
    input: z.strictObject({
      name: z.string().min(1).max(200).describe('Name of the tool; name@1.2.3 or name@^1 for another version.'),
      format: z
        .enum(['json', 'typescript'])
        .default('json')
        .describe('typescript: only its types and how code calls it, a few lines.'),
      with_code: z.boolean().default(false).describe('Also the source code of a saved skill.'),
    }),
    needs: 'read',
    risk: 'reads',
    run: async (input, { request }) => {
      const { tenant } = request.principal;
      const { name, range } = splitName(input.name);
      if (!mayUse(request.principal, name)) throw unknownTool(catalog(), request.principal, input.name);
      const listed = catalog().get(tenant, name);
      const isListed = listed && (range === undefined || listed.kind === 'builtin');
      const tool = isListed ? listed : await source.load(tenant, name, range ?? '*');
      if (!tool) throw unknownTool(catalog(), request.principal, input.name);
      if (input.format === 'typescript') return typesOf(tool);
      return {
        ...describe(tool),
        ...(await describeEntry({ db: database.read, cache: texts }, tenant, tool, input.with_code)),
      };
    },
  });
}

const typesOf = ({ name, version, input, output }: Tool) => ({
  name,
  ...(version !== undefined && { version }),
  types: describeTypes({ name, input, output }),
});

function describe(tool: Tool) {
  const { name, kind, title, description, version, risk, annotations, input, output, lock, seal } = tool;
  return {
    name,
    kind,
    title,
    description,
    ...(version !== undefined && { version }),
    signature: compactSignature(name, input, output),
    risk,
    annotations,
    input_schema: input,
    ...(output && { output_schema: output }),
    ...(tool.capabilities && { ...described(tool.capabilities), lock }),
    ...(tool.reach && { reach: tool.reach }),
    ...(seal !== undefined && { seal }),
  };
}

/** What its own code was granted; `reach` adds what it calls. */
const described = ({ tools, net, secrets, files }: Capabilities) => ({
  uses: tools,
  capabilities: { net, secrets, files, env: 'none' },
});

async function describeEntry(from: { db: Db; cache: Cache }, tenant: string, tool: Tool, withCode: boolean) {
  if (tool.kind !== 'skill' || tool.version === undefined) return {};
  const stored = await getVersion(from.db, tenant, tool.name, tool.version);
  if (!stored) return {};
  const versions = await listVersions(from.db, tenant, tool.name);
  const manifest = sealedManifest(stored);
  return {
    use_when: manifest.useWhen,
    example_requests: manifest.exampleRequests,
    tags: manifest.tags,
    language: manifest.language,
    limits: manifest.limits,
    examples: JSON.parse(await readBlob(from, tenant, manifest.examples)),
    versions: versions.map(({ version, state }) => ({ version, state })),
    ...(withCode && { code: await readBlob(from, tenant, manifest.source) }),
  };
}
