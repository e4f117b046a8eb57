import * as z from 'zod';
import type { Tool } from '../catalog/tool.ts';
import { defineBuiltin } from './builtin.ts';

const input = z.strictObject({
  name: z.string().min(1).max(200).describe('Name of the tool, as search_tools gives it.'),
  input: z.record(z.string(), z.unknown()).default({}).describe("The tool's own input."),
  version: z
    .string()
    .max(50)
    .optional()
    .describe('An exact version or a range such as ^1; default: the active version.'),
});

/** `call_tool`: any tool by name, also one saved a moment ago that the host has not listed yet. */
export const callTool: Tool = forwarder(
  'call_tool',
  'Call a tool',
  'Call any tool by name, also one saved a moment ago that is not in your list yet, or another version of one.',
  false,
);

/** `call_read_tool`: the same for tools known to be read-only, so that a host can allow it once. */
export const callReadTool: Tool = forwarder(
  'call_read_tool',
  'Call a read-only tool',
  'Like call_tool, but refuses any tool that is not known to be read-only, so a host may allow it once and for all.',
  true,
);

function forwarder(name: string, title: string, description: string, onlyReading: boolean): Tool {
  return defineBuiltin({
    name,
    title,
    description,
    input,
    needs: 'call',
    risk: onlyReading ? 'reads' : 'writes',
    forward: (given) => ({
      tool: given.name,
      input: given.input,
      onlyReading,
      ...(given.version !== undefined && { version: given.version }),
    }),
    // The road hands the call on before it comes here.
    run: async () => undefined,
  });
}
