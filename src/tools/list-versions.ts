import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import { WeaverError } from '../errors.ts';
import { listVersions as readVersions } from '../library/table.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

/** `list_versions`: the history of a saved entry. */
export function listVersions(database: Database): Tool {
  return defineBuiltin({
    name: 'list_versions',
    title: 'List versions',
    description: 'The versions of a saved skill, newest first: state, seal, when, by whom and why.',
    input: z.strictObject({ name: z.string().min(1).max(200).describe('Name of the skill.') }),
    needs: 'read',
    risk: 'reads',
    run: async ({ name }, { request }) => {
      const versions = await readVersions(database.read, request.principal.tenant, name);
      if (versions.length === 0) {
        throw new WeaverError('not_found', `Nothing saved is named ${JSON.stringify(name)}.`, {
          hint: 'search_tools finds names.',
        });
      }
      return {
        name,
        versions: versions.map(({ version, state, seal, risk, createdAt, createdBy, reason }) => ({
          version,
          state,
          risk,
          seal,
          created_at: new Date(createdAt).toISOString(),
          created_by: createdBy,
          ...(reason !== undefined && { reason }),
        })),
      };
    },
  });
}
