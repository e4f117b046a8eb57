import * as z from 'zod';
import { poisonRules } from '../text/poison.ts';

export const languages = ['javascript', 'typescript', 'python'] as const;

const json = z.unknown();

const exampleSchema = z.strictObject({
  input: json.describe('The input of this call.'),
  output: json.describe('The exact output that must come back.'),
  stubs: z
    .record(z.string().max(60), json)
    .optional()
    .describe('What tools with risk answer while this example is checked: tool name → output.'),
});

const capabilities = z.strictObject({
  net: z
    .array(
      z.union([
        z.string().min(1).max(300),
        z.strictObject({
          host: z.string().min(1).max(260),
          methods: z.array(z.string().max(20)).max(10).optional(),
          ports: z.array(z.int()).max(20).optional(),
        }),
      ]),
    )
    .max(50)
    .optional()
    .describe('Hosts for ctx.fetch: "GET api.github.com", "*.example.com:8443", or { host, methods, ports }.'),
  secrets: z
    .array(
      z.union([
        z.string().min(1).max(400),
        z.strictObject({
          name: z.string().min(1).max(100),
          host: z.string().min(1).max(260).optional(),
          header: z.string().min(1).max(100).optional(),
        }),
      ]),
    )
    .max(50)
    .optional()
    .describe('Secrets by name, each bound to a host and header: "GITHUB_TOKEN@api.github.com:authorization".'),
  tools: z
    .array(z.string().min(1).max(200))
    .max(200)
    .optional()
    .describe('Tools, as name or name@^1. Default: those that the code names.'),
  files: z.enum(['none', 'read', 'write']).optional().describe('Use of ctx.files, a workspace of its own.'),
  env: z.literal('none').optional().describe('Always none.'),
});

/** What somebody asks to save as a skill. */
export const skillDraft = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(200)
    .describe('snake_case, at most 46 characters. An existing name makes its next version.'),
  description: z
    .string()
    .min(1)
    .max(4_000)
    .describe('One sentence: verb, object, result. Agents find and choose the skill by it.'),
  code: z
    .string()
    .min(1)
    .max(200_000)
    .describe(
      'An ES module: export default async function run(input, ctx) { … return output; }. ctx has tools.<name>(input), call("name@^1", input), fetch(url, init) and files as capabilities declares, progress(done, total, message), log(…), now(), random(). No imports, no process. In Python: def run(input, ctx).',
    ),
  language: z.enum(languages).default('javascript').describe('Language of the code.'),
  input_schema: z.record(z.string(), json).describe('JSON Schema (2020-12) of the input; type "object" at the root.'),
  output_schema: z
    .record(z.string(), json)
    .optional()
    .describe('JSON Schema of the output; type "object" at the root.'),
  capabilities: capabilities
    .optional()
    .describe('What the code may reach beside its input. Default: only the tools it names.'),
  examples: z
    .array(exampleSchema)
    .max(20)
    .default([])
    .describe(
      'Each is run before saving and must give exactly its output. At least one lets a harmless skill run at once.',
    ),
  use_when: z.array(z.string().min(1).max(300)).max(10).default([]).describe('When to use it, in clauses.'),
  example_requests: z
    .array(z.string().min(1).max(300))
    .max(20)
    .default([])
    .describe("3 to 5 requests, in a user's words, that it answers."),
  tags: z.array(z.string().min(1).max(40)).max(10).default([]).describe('Words to filter by.'),
  overrides: z
    .array(
      z.strictObject({
        rule: z.enum(poisonRules),
        where: z.string().min(1).max(300),
        reason: z.string().min(10).max(500),
      }),
    )
    .max(20)
    .default([])
    .describe('Findings about texts that are right all the same, with the reason; a person then decides.'),
  version: z
    .string()
    .max(50)
    .regex(/^\d+\.\d+\.\d+$/)
    .optional()
    .describe('Such as 1.2.0. Default: major if a schema changed, else patch.'),
  confirm_distinct: z.string().min(1).max(500).optional().describe('Why it is kept beside a similar skill.'),
});

export type SkillDraft = z.infer<typeof skillDraft>;
