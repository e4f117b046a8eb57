import type { Database } from '../store/database.ts';
import type { Handler } from '../store/dispatcher.ts';
import { forgetting } from '../store/forgetting.ts';
import { endQuestion, openQuestion } from './questions.ts';
import { endRun, findRun, forgetExpired, forgetRuns, retentionMs, unanswered } from './table.ts';

/** What follows the changes of runs: those that have expired are forgotten, a question that nobody answered ends its run. */
export function runFollowUps({ write }: Pick<Database, 'write'>): Readonly<Record<string, Handler>> {
  return {
    [forgetRuns]: forgetting({ write }, forgetExpired),
    [endQuestion]: async ({ tenant, key: questionId, body }) => {
      const now = Date.now();
      const { run: id } = body as { run: string };
      await write(async (trx) => {
        const run = await findRun(trx, { tenant, id }, now);
        const question = await openQuestion(trx, { tenant, id, state: 'asks' });
        // Answered, cancelled, or about another question by now; or the clock was set back.
        if (run?.error?.code !== 'timed_out' || question?.id !== questionId) return;
        const error = unanswered(run.tool).toJSON();
        await endRun(trx, { tenant, id }, { state: 'failed', outcome: error, expiresAt: now + retentionMs.kept }, now);
      });
      return undefined;
    },
  };
}
