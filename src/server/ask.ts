import {
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  createRequestStateCodec,
  type ElicitRequestFormParams,
  type InputRequiredResult,
  inputRequired,
  inputResponse,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import type { Answer, Outcome, Principal, Question } from '../contracts.ts';
import { WeaverError } from '../errors.ts';
import { isRecord } from '../json.ts';

/** How often one request may ask before its run is left to be answered later. */
const maxRounds = 8;
const answerKey = 'answer';

/** What travels through the client and comes back signed: which question, of which run and tool, in which round. */
interface AskState {
  tool: string;
  run: string;
  question: string;
  round: number;
}

/** What came back with a request that was asked. */
export type Returned =
  | { kind: 'answer'; runId: string; answer: Answer; round: number }
  | { kind: 'refused'; runId: string; how: 'decline' | 'cancel' };

type Asks = Extract<Outcome, { status: 'asks' }>;

/** Asks the person at the other end of an MCP connection (elicitation), in both eras. */
export interface Asker {
  /** For the server's option `requestState`. */
  verify(state: string, ctx: ServerContext): Promise<unknown>;
  /** What this request brings back from an earlier round, if anything. @throws WeaverError `bad_input`. */
  returned(tool: string, ctx: ServerContext): Returned | undefined;
  /** The result that asks; undefined where this client cannot, may not, or was asked often enough. */
  ask(tool: string, outcome: Asks, round: number, ctx: ServerContext): Promise<InputRequiredResult | undefined>;
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
  return {
    verify: async (state, ctx) => (await codec(1)).verify(state, ctx),
    returned(tool, { mcpReq }) {
      const state = mcpReq.requestState<AskState>();
      if (state === undefined) return undefined;
      if (!isRecord(state) || state.tool !== tool) {
        throw new WeaverError('bad_input', 'The answer belongs to another call.', {
          hint: 'Call the tool again from the start.',
        });
      }
      const response = inputResponse(mcpReq.inputResponses, answerKey);
      if (response.kind !== 'elicit') return undefined;
      const { run: runId, question: questionId, round } = state;
      if (response.action !== 'accept') return { kind: 'refused', runId, how: response.action };
      const answer = {
        questionId,
        value: plainValues(response.content),
        by: principal,
        how: 'elicitation',
        at: Date.now(),
      } as const;
      return { kind: 'answer', runId, answer, round };
    },
    async ask(tool, { question, runId }, round, ctx) {
      const ttlSeconds = Math.floor((question.expiresAt - Date.now()) / 1_000);
      const mayAsk = question.for === 'anyone' || elicitationCounts;
      if (!mayAsk || round >= maxRounds || ttlSeconds < 1 || !takesForms(server(), ctx)) return undefined;
      const state = { tool, run: runId, question: question.id, round: round + 1 };
      const elicitation = inputRequired.elicit({ message: question.message, requestedSchema: formOf(question) });
      return inputRequired({
        inputRequests: { [answerKey]: elicitation },
        requestState: await (await codec(ttlSeconds)).mint(state, ctx),
      });
    },
  };
}

const formOf = ({ form }: Question) => form as unknown as ElicitRequestFormParams['requestedSchema'];

/** True for a client that said that it shows forms; of the old era at its start, of the new one with each request. */
function takesForms({ server }: McpServer, { mcpReq }: ServerContext): boolean {
  const envelope = (mcpReq as { envelope?: Record<string, unknown> }).envelope;
  const declared = (envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? server.getClientCapabilities()) as
    | ClientCapabilities
    | undefined;
  const { elicitation } = declared ?? {};
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
}

function plainValues(content: Record<string, unknown> = {}): Answer['value'] {
  const isPlain = (value: unknown): value is string | number | boolean =>
    ['string', 'number', 'boolean'].includes(typeof value);
  return Object.fromEntries(
    Object.entries(content).filter((entry): entry is [string, string | number | boolean] => isPlain(entry[1])),
  );
}
