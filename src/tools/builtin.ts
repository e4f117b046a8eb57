import * as z from 'zod';
import { done, type Tool, type ToolAnnotations, type ToolContext } from '../catalog/tool.ts';
import type { JsonSchema, Risk, Scope } from '../contracts.ts';

interface Builtin<I extends z.ZodType> {
  name: string;
  title: string;
  description: string;
  input: I;
  needs: Scope;
  risk: Risk;
  isIdempotent?: boolean;
  forward?: (input: z.output<I>) => ReturnType<NonNullable<Tool['forward']>>;
  named?: (input: z.output<I>) => readonly string[];
  /** Gives the value of the outcome, or throws a WeaverError. */
  run(input: z.output<I>, ctx: ToolContext): Promise<unknown>;
}

/** A built-in tool from its zod schema. */
export function defineBuiltin<I extends z.ZodType>(builtin: Builtin<I>): Tool {
  const { input, run, forward, named, name, title, description, needs, risk } = builtin;
  return {
    name,
    kind: 'builtin',
    title,
    description,
    input: toJsonSchema(input),
    annotations: annotations(builtin),
    needs,
    risk,
    ...(named && { named: (raw: unknown) => named(input.parse(raw)) }),
    ...(forward && { forward: (raw: unknown) => forward(input.parse(raw)) }),
    run: async (raw, ctx) => done(await run(input.parse(raw), ctx)),
  };
}

// Built-ins touch only this library: no outside world, and nothing that they do is lost for good.
function annotations({ risk, isIdempotent }: { risk: Risk; isIdempotent?: boolean }): ToolAnnotations {
  const readOnlyHint = risk === 'none' || risk === 'reads';
  return { readOnlyHint, destructiveHint: false, idempotentHint: isIdempotent ?? readOnlyHint, openWorldHint: false };
}

function toJsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}
