import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import type { ToolSearch } from '../search/search.ts';
import { defineBuiltin } from './builtin.ts';

const kinds = ['builtin', 'skill', 'workflow', 'upstream', 'agent'] as const;

/** `search_tools`: which tools fit a need. */
export function searchTools(search: ToolSearch): Tool {
  return defineBuiltin({
    name: 'search_tools',
    title: 'Search tools',
    description:
      'Find saved skills and other tools before writing code. Give one short query per need, worded as the documentation of the tool you want ("summarise the columns of a CSV text"). Returns names, signatures and why each matched; call a hit by its name, or with call_tool.',
    input: z.strictObject({
      queries: z
        .array(z.string().max(2_000))
        .min(1)
        .max(10)
        .describe('One need each, as the documentation of the tool would say it.'),
      limit: z.int().min(1).max(20).default(8).describe('Hits per query.'),
      kinds: z.array(z.enum(kinds)).optional().describe('Only tools of these kinds.'),
      tags: z.array(z.string().max(40)).max(10).optional().describe('Only tools with all of these tags.'),
      detail: z.enum(['short', 'full']).default('short').describe('full adds the input schemas.'),
    }),
    needs: 'read',
    risk: 'reads',
    run: async ({ queries, limit, kinds: wanted, tags, detail }, { request }) => {
      const { tenant, tools: grants } = request.principal;
      const filter = { ...(wanted && { kinds: wanted }), ...(tags && { tags }), ...(grants && { grants }) };
      return {
        mode: 'keyword',
        results: queries.map((query) => ({ query, ...search(tenant, query, limit, filter, detail === 'full') })),
      };
    },
  });
}
