import type { Answer, Question } from '../contracts.ts';
import { putOutbox } from '../store/outbox.ts';
import type { Db, Tables } from '../store/tables.ts';

/** The topic of the outbox whose message ends a run that nobody has answered in time. */
export const endQuestion = 'end_question';

type RunRow = Pick<Tables['runs'], 'tenant' | 'id' | 'state'>;

/** What a question was answered, and by whom. */
interface AskedQuestion {
  question: Question;
  answer?: { value: Answer['value']; by: string };
}

/** Keeps what a run asks, and has the run end when nobody answers in time. */
export async function insertQuestion(
  trx: Db,
  { tenant, id: run }: Pick<RunRow, 'tenant' | 'id'>,
  question: Question,
  now: number,
): Promise<void> {
  await trx
    .insertInto('questions')
    .values({
      tenant,
      id: question.id,
      run,
      question: JSON.stringify(question),
      asked_at: now,
      expires_at: question.expiresAt,
      answer: null,
      answered_by: null,
      answered_how: null,
      answered_at: null,
    })
    .execute();
  const message = { tenant, topic: endQuestion, key: question.id, body: { run } };
  await putOutbox(trx, { ...message, dueAt: question.expiresAt + 1 }, now);
}

/** Keeps an answer to what a run asks; false when it asks no such thing, or that was answered before. */
export async function keepAnswer(
  trx: Db,
  { tenant, id }: Pick<RunRow, 'tenant' | 'id'>,
  { questionId, value, by, how, at }: Answer,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('questions')
    .set({ answer: JSON.stringify(value), answered_by: by.id, answered_how: how, answered_at: at })
    .where('tenant', '=', tenant)
    .where('run', '=', id)
    .where('id', '=', questionId)
    .where('answered_at', 'is', null)
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

/** What a run asks or has asked. */
export async function findQuestion(
  db: Db,
  { tenant, id }: Pick<RunRow, 'tenant' | 'id'>,
  questionId: string,
): Promise<AskedQuestion | undefined> {
  const row = await db
    .selectFrom('questions')
    .select(['question', 'answer', 'answered_by'])
    .where('tenant', '=', tenant)
    .where('run', '=', id)
    .where('id', '=', questionId)
    .executeTakeFirst();
  if (!row) return undefined;
  const { question, answer, answered_by: by } = row;
  return {
    question: JSON.parse(question),
    ...(answer !== null && { answer: { value: JSON.parse(answer), by: by ?? '' } }),
  };
}

/** The last answer that a run was given, as far as it is kept: of who gave it only the id. */
export async function lastAnswer(
  db: Db,
  { tenant, id }: Pick<RunRow, 'tenant' | 'id'>,
): Promise<(Omit<Answer, 'by'> & { by: string }) | undefined> {
  const row = await db
    .selectFrom('questions')
    .select(['id', 'answer', 'answered_by', 'answered_how', 'answered_at'])
    .where('tenant', '=', tenant)
    .where('run', '=', id)
    .where('answered_at', 'is not', null)
    .orderBy('answered_at', 'desc')
    .executeTakeFirst();
  if (!row) return undefined;
  return {
    questionId: row.id,
    value: JSON.parse(row.answer ?? '{}'),
    by: row.answered_by ?? '',
    how: row.answered_how as Answer['how'],
    at: row.answered_at ?? 0,
  };
}

/** What a run asks now. */
export async function openQuestion(db: Db, { tenant, id, state }: RunRow): Promise<Question | undefined> {
  if (state !== 'asks') return undefined;
  const row = await db
    .selectFrom('questions')
    .select('question')
    .where('tenant', '=', tenant)
    .where('run', '=', id)
    .where('answered_at', 'is', null)
    .orderBy('asked_at', 'desc')
    .executeTakeFirst();
  return row && JSON.parse(row.question);
}
