import type { GetPromptResult, Prompt } from '@modelcontextprotocol/server';
import { WeaverError } from '../errors.ts';

interface PromptKind {
  definition: Prompt;
  text(values: Record<string, string>): string;
}

const shape = `A skill is one function: export default async function run(input, ctx) { … return output; }
- input_schema and output_schema: JSON Schema with type "object" at the root, a description on every property.
- examples: at least one { input, output }; each is run before saving and must give exactly its output.
- description: one sentence (verb, object, result); use_when: when to choose it; example_requests: 3 to 5 in a user's words.
- ctx.tools.<name>(input) calls another saved tool. No imports, no process.
- ctx.fetch(url, { method, headers, body }) and ctx.files reach what capabilities declares: { net: ["api.example.com"], secrets: ["TOKEN"], files: "read" }; such a skill waits for a person, and its examples say what it finds: stubs: { "ctx.fetch": { "GET https://…": … }, "ctx.files": { "a.txt": "…" } }.`;

const prompts: readonly PromptKind[] = [
  {
    definition: {
      name: 'write_skill',
      title: 'Write a skill',
      description: 'Write a small, tested skill for a need and save it as a tool.',
      arguments: [{ name: 'need', description: 'What the skill should do.', required: true }],
    },
    text: ({ need }) => `Make a tool for this need: ${need}

First call search_tools with the need in one short query; if a tool fits, use it or improve it instead of writing a second one.
Otherwise write a skill and save it with save_skill.

${shape}

If the answer is a review, give the person its command. When it is active, call it once with real input and show the result.`,
  },
  {
    definition: {
      name: 'turn_this_into_a_skill',
      title: 'Turn this into a skill',
      description: 'Turn what worked in this conversation into a tool for next time.',
      arguments: [{ name: 'name', description: 'A name for it, such as csv_summary.', required: false }],
    },
    text: ({
      name,
    }) => `Turn what worked in this conversation into a skill${name ? ` named ${name}` : ''}, so that next time it is one call.

1. Say in one sentence what is worth keeping: the general step, without this conversation's own data.
2. search_tools for it; if something similar is saved, improve that (saving under its name makes its next version).
3. Write it with the values of this conversation as inputs, and take one real input and output from above as its example, unless they are private.
4. save_skill, and mend what its findings name.

${shape}`,
  },
];

export const listPrompts = (): Prompt[] => prompts.map((prompt) => prompt.definition);

/** @throws WeaverError `not_found`, `bad_input` when a required argument is missing. */
export function getPrompt(name: string, values: Record<string, string>): GetPromptResult {
  const prompt = prompts.find(({ definition }) => definition.name === name);
  if (!prompt) {
    throw new WeaverError('not_found', `There is no prompt named ${JSON.stringify(name.slice(0, 60))}.`, {
      hint: `There are ${prompts.map(({ definition }) => definition.name).join(' and ')}.`,
    });
  }
  const missing = prompt.definition.arguments?.find((one) => one.required && !values[one.name]?.trim());
  if (missing)
    throw new WeaverError('bad_input', `${name}: ${missing.name} is missing.`, { hint: missing.description ?? '' });
  return {
    description: prompt.definition.description ?? '',
    messages: [{ role: 'user', content: { type: 'text', text: prompt.text(values) } }],
  };
}
