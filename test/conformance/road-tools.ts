import { setTimeout as sleep } from 'node:timers/promises';
import { localTenant } from '../../src/access/principals.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { done, type Tool } from '../../src/catalog/tool.ts';
import type { FlatSchema } from '../../src/contracts.ts';
import { WeaverError } from '../../src/errors.ts';
import { answerTo, asks, form, toolFor } from '../peers/tools.ts';

/** One red pixel, and a wave file without a sound. */
export const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const wav = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';

const nothing = (form: FlatSchema): FlatSchema => ({ ...form, required: [] });
const confirm = form({ ok: { type: 'boolean' } });
const person = form({
  username: { type: 'string', description: "User's response" },
  email: { type: 'string', description: "User's email address" },
});
const withDefaults = nothing(
  form({
    name: { type: 'string', default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  }),
);

/** Asks once and answers with what came back. */
const asksOnce = (name: string, message: string, what: FlatSchema, reply: string): Tool =>
  toolFor(name, (_input, ctx) => {
    const answer = answerTo(ctx);
    return answer ? done(`${reply}${JSON.stringify(answer.value)}`) : asks(message, what, ctx);
  });

/**
 * Those tools of the conformance suites that this product can carry itself: they stand in its own catalog and are listed,
 * called, asked and answered by its own code.
 */
export const roadTools = (catalog: () => Catalog): Tool[] => [
  toolFor('test_simple_text', () => done('This is a simple text response for testing.')),
  toolFor('test_image_content', () => ({
    status: 'done',
    value: 'An image:',
    attachments: [{ type: 'image', data: png, mimeType: 'image/png' }],
  })),
  toolFor('test_audio_content', () => ({
    status: 'done',
    value: 'A sound:',
    attachments: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }],
  })),
  toolFor('test_error_handling', () => {
    throw new WeaverError('skill_failed', 'This tool intentionally returns an error for testing');
  }),
  toolFor('test_tool_with_progress', async (_input, { progress }) => {
    for (const step of [0, 50, 100]) {
      progress({ done: step, total: 100 });
      await sleep(60);
    }
    return done('finished');
  }),
  toolFor('test_logging_tool', () => done('Nothing is logged to a client that did not ask for it.')),
  toolFor('test_trigger_tool_change', () => {
    catalog().changed(localTenant, ['test_simple_text']);
    return done('announced');
  }),
  toolFor(
    'test_elicitation',
    (input, ctx) => {
      const answer = answerTo(ctx);
      if (!answer) return asks(String(input.message), person, ctx);
      return done(`User response: action=accept, content=${JSON.stringify(answer.value)}`);
    },
    { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
  ),
  asksOnce('test_elicitation_sep1034_defaults', 'Review the defaults', withDefaults, 'Elicitation completed: '),
  asksOnce('test_streaming_elicitation', 'Please confirm', confirm, ''),
  asksOnce('test_input_required_result_request_state', 'Please confirm', confirm, 'state-ok '),
  asksOnce('test_input_required_result_tampered_state', 'Please confirm', confirm, 'integrity-ok '),
  toolFor('test_input_required_result_multi_round', (_input, ctx) => {
    const answer = answerTo(ctx);
    if (!answer) return asks('What is your name?', form({ name: { type: 'string' } }), ctx, 'name');
    if (answer.questionId.startsWith('name')) {
      return asks('What is your favourite colour?', form({ color: { type: 'string' } }), ctx, 'color');
    }
    return done(`The colour is ${answer.value.color}.`);
  }),
];
