import type { CompiledQuery } from 'kysely';
import type { Log } from '../log.ts';
import { createBatches } from '../store/batches.ts';
import type { Database } from '../store/database.ts';
import type { Db, Tables } from '../store/tables.ts';
import type { CallEvent, EventSink } from './events.ts';

const batchSize = 500;
const rowsPerStatement = 50;
const keepAtMost = 10_000;
const dayMs = 86_400_000;

/** Keeps events in the database, written in batches, for `days` days. */
export function createSqliteSink(database: Database, log: Log, days: number): EventSink {
  let nextSweepAt = 0;
  const insert = createInsert();
  const events = createBatches<CallEvent>({
    log,
    size: batchSize,
    says: { lost: 'call events cannot be kept; those until they can are lost', kept: 'call events are kept again' },
    write: (batch) =>
      database.write(async (trx) => {
        for (let i = 0; i < batch.length; i += rowsPerStatement) {
          await insert(trx, batch.slice(i, i + rowsPerStatement).map(toRow));
        }
        if (Date.now() < nextSweepAt) return;
        nextSweepAt = Date.now() + dayMs / 24;
        await trx
          .deleteFrom('calls')
          .where('at', '<', Date.now() - days * dayMs)
          .execute();
      }),
  });
  return {
    name: 'sqlite',
    record(event) {
      if (events.waiting < keepAtMost) events.add(event);
    },
    flush: events.flush,
    close: events.flush,
  };
}

type Insert = (trx: Db, rows: readonly Tables['calls'][]) => Promise<unknown>;

/** Inserts rows, all of which name the same columns. A full statement is compiled once: that takes longer than to run it. */
function createInsert(): Insert {
  let full: { query: CompiledQuery; columns: (keyof Tables['calls'])[] } | undefined;
  return (trx, rows) => {
    const insert = () => trx.insertInto('calls').values(rows);
    if (rows.length < rowsPerStatement) return insert().execute();
    full ??= { query: insert().compile(), columns: Object.keys(rows[0] ?? {}) as (keyof Tables['calls'])[] };
    const { columns } = full;
    const parameters = rows.flatMap((row) => columns.map((column) => row[column]));
    return trx.executeQuery({ ...full.query, parameters });
  };
}

function toRow(event: CallEvent) {
  const { durationMs, bytesIn, bytesOut, version, cost, run, parent, search, ...same } = event;
  return {
    ...same,
    version: version ?? null,
    duration_ms: durationMs,
    bytes_in: bytesIn,
    bytes_out: bytesOut,
    cost: cost ?? null,
    run: run ?? null,
    parent: parent ?? null,
    search: search ?? null,
  };
}
