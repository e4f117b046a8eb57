import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createRequestStateCodec,
  type ElicitRequestFormParams,
  type ElicitResult,
  type InputRequiredResult,
  inputRequired,
  inputResponse,
  type McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { whyNotAnswer } from '../catalog/resume.ts';
import type { Answer, CallRequest, Outcome, Principal, Question } from '../contracts.ts';
import { isRecord } from '../json.ts';

/** How often one request may ask before its run is left to be answered later. */
const maxRounds = 8;
const answerKey = 'answer';
const maxTimeoutMs = 2 ** 31 - 1;

/** What travels through the client and comes back signed: which question, of which run and tool, in which round. */
interface AskState {
  tool: string;
  run: string;
  question: string;
  round: number;
}

/** What came of asking: an answer, a refusal, or nothing that can be read as either. `round` counts from 1. */
export type Returned = { runId: string; round: number } & (
  | { kind: 'answer'; resume: NonNullable<CallRequest['resume']> }
  | { kind: 'refused'; questionId: string; how: 'decline' | 'cancel' }
  | { kind: 'nothing' }
);

type Asks = Extract<Outcome, { status: 'asks' }>;

/** Asks the person at the other end of an MCP connection (elicitation), in both eras. */
export interface Asker {
  /** For the server's option `requestState`. */
  verify(state: string, ctx: ServerContext): Promise<unknown>;
  /** What this request brings back from an earlier round, if anything. @throws ProtocolError for another tool's state. */
  returned(tool: string, ctx: ServerContext): Returned | undefined;
  /**
   * Asks once more after so many rounds. Clients of 2026-07-28 get a result that asks, and come back with a request of
   * their own; older ones are asked at once, and their answer is waited for. Undefined where this client cannot, may
   * not, or was asked often enough, and where no answer came in time.
   */
  ask(
    tool: string,
    outcome: Asks,
    rounds: number,
    ctx: ServerContext,
  ): Promise<InputRequiredResult | Returned | undefined>;
}

interface AskerOptions {
  /** At least 32 bytes; the same in every process of the home, so that any of them can take the answer. */
  key(): Promise<string>;
  principal: Principal;
  /** Whether an elicited answer may stand for a person's. */
  elicitationCounts: boolean;
  server: () => McpServer;
}

export function createAsker({ key, principal, elicitationCounts, server }: AskerOptions): Asker {
  // Bound to who was asked: another principal's answer is refused.
  const bind = () => `${principal.tenant}\0${principal.id}`;
  const codec = async (ttlSeconds: number) => createRequestStateCodec<AskState>({ key: await key(), ttlSeconds, bind });
  const mayAsk = (question: Question) =>
    !whyNotAnswer(question, { by: principal, how: 'elicitation' }, { elicitationCounts });
  return {
    verify: async (state, ctx) => (await codec(1)).verify(state, ctx),
    returned(tool, { mcpReq }) {
      const state = mcpReq.requestState<AskState>();
      if (state === undefined) return undefined;
      if (!isRecord(state) || state.tool !== tool) {
        throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'The requestState belongs to a call of another tool.');
      }
      const response = inputResponse(mcpReq.inputResponses, answerKey);
      return response.kind === 'elicit'
        ? toReturned(state, response, principal)
        : { kind: 'nothing', runId: state.run, round: state.round };
    },
    async ask(tool, { question, runId }, rounds, ctx) {
      const leftMs = question.expiresAt - Date.now();
      if (rounds >= maxRounds || leftMs < 1_000 || !mayAsk(question) || !takesForms(server(), ctx)) return undefined;
      const state = { tool, run: runId, question: question.id, round: rounds + 1 };
      const elicitation = inputRequired.elicit({ message: question.message, requestedSchema: formOf(question) });
      if (ctx.mcpReq.envelope) {
        return inputRequired({
          inputRequests: { [answerKey]: elicitation },
          requestState: await (await codec(Math.floor(leftMs / 1_000))).mint(state, ctx),
        });
      }
      try {
        const options = { timeout: Math.min(leftMs, maxTimeoutMs), signal: ctx.mcpReq.signal };
        const { params } = elicitation;
        const result = await ctx.mcpReq.send({ method: 'elicitation/create', params: { ...params } }, options);
        return toReturned(state, result, principal);
      } catch {
        // Not answered in time, or not as MCP says. The run still asks, and the result says how to answer it.
        return undefined;
      }
    },
  };
}

function toReturned(
  { run: runId, question: questionId, round }: AskState,
  { action, content }: Pick<ElicitResult, 'action'> & { content?: Record<string, unknown> | undefined },
  by: Principal,
): Returned {
  if (action !== 'accept') return { kind: 'refused', runId, round, questionId, how: action };
  // What is in it is held against the question's form, wherever it came from.
  const value = { ...content } as Answer['value'];
  const answer: Answer = { questionId, value, by, how: 'elicitation', at: Date.now() };
  return { kind: 'answer', runId, round, resume: { runId, answer } };
}

const formOf = ({ form }: Question) => form as unknown as ElicitRequestFormParams['requestedSchema'];

/** True for a client that said that it shows forms; of the old era at its start, of the new one with each request. */
function takesForms({ server }: McpServer, { mcpReq }: ServerContext): boolean {
  const envelope = mcpReq.envelope as Record<string, unknown> | undefined;
  const declared = (envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? server.getClientCapabilities()) as
    | ClientCapabilities
    | undefined;
  const { elicitation } = declared ?? {};
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
}
