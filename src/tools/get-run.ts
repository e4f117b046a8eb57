import { z } from 'zod';
import type { Tool } from '../catalog/tool.ts';
import { getKept } from '../runs/kept.ts';
import { pageOf } from '../runs/page.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

/** `get_run`: the kept result of a call, page by page. */
export function getRun(database: Database): Tool {
  return defineBuiltin({
    name: 'get_run',
    title: 'Get a run',
    description: 'Read the kept result of a call that was too large to return: a part of it by path, page by page.',
    input: z.strictObject({
      run_id: z.string().min(1).max(60),
      path: z.string().max(500).default('').describe('Where in the result, such as rows.3.name; empty for the whole.'),
      offset: z.int().min(0).max(10_000_000).default(0).describe('First element, character or key.'),
      limit: z.int().min(1).max(30_000).default(100).describe('At most so many elements, characters or keys.'),
    }),
    needs: 'read',
    risk: 'reads',
    run: async ({ run_id, path, offset, limit }, { request }) => {
      const run = await getKept(database, request.principal, run_id, Date.now());
      const { nextOffset, ...page } = pageOf(run.value, path, offset, limit);
      return {
        run_id,
        tool: run.tool,
        state: run.state,
        expires_at: new Date(run.expiresAt).toISOString(),
        ...page,
        ...(nextOffset !== undefined && { next_offset: nextOffset }),
      };
    },
  });
}
