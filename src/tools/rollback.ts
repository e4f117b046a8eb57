import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import { requestRollback } from '../library/rollback.ts';
import type { Database } from '../store/database.ts';
import { defineBuiltin } from './builtin.ts';

/** `rollback`: a version that has run before runs again. */
export function rollback(database: Database): Tool {
  return defineBuiltin({
    name: 'rollback',
    title: 'Roll back',
    description:
      'Make an earlier version of a saved skill the active one again and say why. A person does it at once; from an agent it opens a request that a person decides.',
    input: z.strictObject({
      name: z.string().min(1).max(200).describe('Name of the skill.'),
      version: z.string().min(1).max(50).describe('The version to go back to.'),
      reason: z.string().min(1).max(500).describe('Why; kept with the version.'),
    }),
    // A reviewer rolls back, an author asks for it: requestRollback knows which.
    needs: 'read',
    risk: 'writes',
    run: (input, { request }) => requestRollback(database, { ...input, principal: request.principal }),
  });
}
