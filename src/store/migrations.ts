import { type Kysely, sql } from 'kysely';
import type { DatabaseKind } from './database.ts';

interface Migration {
  name: string;
  up(db: Kysely<unknown>, kind: DatabaseKind): Promise<void>;
}

/** Every change of the tables, in order. What has been released is never edited: a later change is a later entry. */
export const migrations: readonly Migration[] = [
  { name: 'library, reviews, runs, calls', up: createLibrary },
  { name: 'tokens, keys, kept runs, questions', up: createAccess },
  { name: 'outbox, holders of runs', up: createOutbox },
  { name: 'secrets', up: createSecrets },
  { name: 'recordings', up: createRecordings },
];

async function createLibrary(db: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  await createEntries(db, kind);
  await createReviews(db);
  await createRuns(db);
}

async function createEntries(db: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  await db.schema
    .createTable('generation')
    .addColumn('tenant', 'text', (c) => c.primaryKey())
    .addColumn('value', 'bigint', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('entries')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('name_key', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('active_version', 'text')
    .addColumn('generation', 'bigint', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('entries_pk', ['tenant', 'name'])
    .addUniqueConstraint('entries_key', ['tenant', 'name_key'])
    .execute();
  await db.schema.createIndex('entries_generation').on('entries').columns(['tenant', 'generation']).execute();
  await db.schema
    .createTable('versions')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('version', 'text', (c) => c.notNull())
    .addColumn('ordinal', 'integer', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('seal', 'text', (c) => c.notNull())
    .addColumn('manifest', 'text', (c) => c.notNull())
    .addColumn('risk', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('reason', 'text')
    .addPrimaryKeyConstraint('versions_pk', ['tenant', 'name', 'version'])
    .addUniqueConstraint('versions_ordinal', ['tenant', 'name', 'ordinal'])
    .addForeignKeyConstraint('versions_entry', ['tenant', 'name'], 'entries', ['tenant', 'name'])
    .execute();
  await db.schema
    .createTable('blobs')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull())
    .addColumn('bytes', kind === 'sqlite' ? 'blob' : sql`bytea`, (c) => c.notNull())
    .addPrimaryKeyConstraint('blobs_pk', ['tenant', 'hash'])
    .execute();
  await db.schema
    .createTable('dependencies')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('version', 'text', (c) => c.notNull())
    .addColumn('dependency', 'text', (c) => c.notNull())
    .addColumn('range', 'text', (c) => c.notNull())
    .addColumn('locked_version', 'text', (c) => c.notNull())
    .addColumn('locked_seal', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('dependencies_pk', ['tenant', 'name', 'version', 'dependency'])
    .addForeignKeyConstraint('dependencies_version', ['tenant', 'name', 'version'], 'versions', [
      'tenant',
      'name',
      'version',
    ])
    .execute();
  await db.schema.createIndex('dependencies_dependency').on('dependencies').columns(['tenant', 'dependency']).execute();
}

async function createReviews(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('reviews')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('id', 'text', (c) => c.notNull())
    .addColumn('subject_kind', 'text', (c) => c.notNull())
    .addColumn('subject_name', 'text', (c) => c.notNull())
    .addColumn('subject_version', 'text', (c) => c.notNull())
    .addColumn('seal', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('evidence', 'text', (c) => c.notNull())
    .addColumn('opened_at', 'bigint', (c) => c.notNull())
    .addColumn('opened_by', 'text', (c) => c.notNull())
    .addColumn('closed_at', 'bigint')
    .addPrimaryKeyConstraint('reviews_pk', ['tenant', 'id'])
    .execute();
  await db.schema.createIndex('reviews_state').on('reviews').columns(['tenant', 'state', 'opened_at']).execute();
  await db.schema
    .createTable('decisions')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('review_id', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('decision', 'text', (c) => c.notNull())
    .addColumn('seal', 'text', (c) => c.notNull())
    .addColumn('comment', 'text')
    .addColumn('how', 'text', (c) => c.notNull())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('decisions_pk', ['tenant', 'review_id', 'principal'])
    .addForeignKeyConstraint('decisions_review', ['tenant', 'review_id'], 'reviews', ['tenant', 'id'])
    .execute();
}

async function createRuns(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('runs')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('id', 'text', (c) => c.notNull())
    .addColumn('tool', 'text', (c) => c.notNull())
    .addColumn('version', 'text')
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('outcome', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('runs_pk', ['tenant', 'id'])
    .execute();
  await db.schema.createIndex('runs_expiry').on('runs').columns(['expires_at']).execute();
  await db.schema
    .createTable('calls')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('id', 'text', (c) => c.notNull())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('tool', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('version', 'text')
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('via', 'text', (c) => c.notNull())
    .addColumn('code', 'text', (c) => c.notNull())
    .addColumn('duration_ms', 'double precision', (c) => c.notNull())
    .addColumn('bytes_in', 'integer', (c) => c.notNull())
    .addColumn('bytes_out', 'integer', (c) => c.notNull())
    .addColumn('tokens', 'integer', (c) => c.notNull())
    .addColumn('cost', 'double precision')
    .addColumn('run', 'text')
    .addColumn('parent', 'text')
    .addColumn('search', 'text')
    .addPrimaryKeyConstraint('calls_pk', ['tenant', 'id'])
    .execute();
  await db.schema.createIndex('calls_at').on('calls').columns(['tenant', 'at']).execute();
  await db.schema.createIndex('calls_tool').on('calls').columns(['tenant', 'tool', 'at']).execute();
}

async function createAccess(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tokens')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('id', 'text', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull().unique())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('roles', 'text', (c) => c.notNull())
    .addColumn('tools', 'text')
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('revoked_at', 'bigint')
    .addPrimaryKeyConstraint('tokens_pk', ['tenant', 'id'])
    .execute();
  await db.schema
    .createTable('keys')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('value', 'text', (c) => c.notNull())
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('keys_pk', ['tenant', 'name'])
    .execute();
  await db.schema
    .createTable('questions')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('id', 'text', (c) => c.notNull())
    .addColumn('run', 'text', (c) => c.notNull())
    .addColumn('question', 'text', (c) => c.notNull())
    .addColumn('asked_at', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .addColumn('answer', 'text')
    .addColumn('answered_by', 'text')
    .addColumn('answered_how', 'text')
    .addColumn('answered_at', 'bigint')
    .addPrimaryKeyConstraint('questions_pk', ['tenant', 'id'])
    .addForeignKeyConstraint('questions_run', ['tenant', 'run'], 'runs', ['tenant', 'id'], (c) => c.onDelete('cascade'))
    .execute();
  for (const [column, type] of [
    ['request', 'text'],
    ['progress', 'text'],
    ['updated_at', 'bigint'],
    ['lease_until', 'bigint'],
    ['idempotency_key', 'text'],
    ['input_hash', 'text'],
  ] as const) {
    await db.schema.alterTable('runs').addColumn(column, type).execute();
  }
  await db.schema
    .createIndex('runs_idempotency')
    .on('runs')
    .columns(['tenant', 'principal', 'idempotency_key'])
    .unique()
    .execute();
  await db.schema.createIndex('runs_created').on('runs').columns(['tenant', 'created_at']).execute();
}

async function createOutbox(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('outbox')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('topic', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('body', 'text', (c) => c.notNull())
    .addColumn('due_at', 'bigint', (c) => c.notNull())
    .addColumn('put_at', 'bigint', (c) => c.notNull())
    .addColumn('revision', 'integer', (c) => c.notNull())
    .addColumn('attempts', 'integer', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('claim', 'text')
    .addColumn('error', 'text')
    .addPrimaryKeyConstraint('outbox_pk', ['tenant', 'topic', 'key'])
    .execute();
  await db.schema.createIndex('outbox_due').on('outbox').columns(['state', 'due_at']).execute();
  await db.schema.alterTable('runs').addColumn('holder', 'text').execute();
  await db.schema.alterTable('runs').addColumn('takes', 'integer').execute();
  await db.schema.createIndex('runs_lease').on('runs').columns(['state', 'lease_until']).execute();
}

async function createSecrets(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('secrets')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('hosts', 'text', (c) => c.notNull())
    .addColumn('header', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('sealed', 'text', (c) => c.notNull())
    .addColumn('set_at', 'bigint', (c) => c.notNull())
    .addColumn('set_by', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('secrets_pk', ['tenant', 'name'])
    .execute();
}

async function createRecordings(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('recordings')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('run', 'text', (c) => c.notNull())
    .addColumn('call_id', 'text', (c) => c.notNull())
    .addColumn('tool', 'text', (c) => c.notNull())
    .addColumn('version', 'text', (c) => c.notNull())
    .addColumn('seal', 'text', (c) => c.notNull())
    .addColumn('engine', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('code', 'text', (c) => c.notNull())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'bigint', (c) => c.notNull())
    .addColumn('bytes', 'integer', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('sealed', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('recordings_pk', ['tenant', 'run'])
    .execute();
  await db.schema.createIndex('recordings_at').on('recordings').columns(['tenant', 'at', 'run']).execute();
  await db.schema.createIndex('recordings_expiry').on('recordings').columns(['tenant', 'expires_at']).execute();
}
