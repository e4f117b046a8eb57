import { describe, expect, it, onTestFinished } from 'vitest';
import * as keys from '../../src/access/keys.ts';
import { createPrincipal } from '../../src/access/principals.ts';
import * as tokens from '../../src/access/tokens.ts';
import * as usage from '../../src/analytics/usage.ts';
import * as reviews from '../../src/approval/reviews.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { Principal, Question } from '../../src/contracts.ts';
import { canonicalJson, sha256 } from '../../src/json.ts';
import * as decide from '../../src/library/decide.ts';
import * as dependencies from '../../src/library/dependencies.ts';
import type { Manifest } from '../../src/library/kind.ts';
import * as view from '../../src/library/review-view.ts';
import * as rollback from '../../src/library/rollback.ts';
import * as library from '../../src/library/table.ts';
import * as recordings from '../../src/recordings/table.ts';
import * as leases from '../../src/runs/leases.ts';
import * as questions from '../../src/runs/questions.ts';
import * as read from '../../src/runs/read.ts';
import * as runs from '../../src/runs/table.ts';
import { deriveKey, encrypt } from '../../src/secrets/cipher.ts';
import { createKeyring } from '../../src/secrets/keyring.ts';
import * as secrets from '../../src/secrets/table.ts';
import * as blobs from '../../src/store/blobs.ts';
import { createMemoryCache } from '../../src/store/cache-memory.ts';
import type { Database } from '../../src/store/database.ts';
import * as forgetting from '../../src/store/forgetting.ts';
import * as generation from '../../src/store/generation.ts';
import * as outbox from '../../src/store/outbox.ts';
import type { Db, Tables } from '../../src/store/tables.ts';

const modules = {
  ...{ blobs, decide, dependencies, forgetting, generation, keys, leases, library, outbox, questions },
  ...{ read, recordings, reviews, rollback, runs, secrets, tokens, usage, view },
};
/** What the modules export beside what asks the database. */
const asksNothing = [
  'forgetting.forgetting',
  'reviews.personNeeded',
  'reviews.refuseClosed',
  'runs.newRunId',
  'runs.toRun',
  'runs.unanswered',
  'secrets.contextOf',
  'secrets.openRow',
];
/** What works for all tenants at once, and hands on which tenant is whose. */
const forAll = ['outbox.dueMessages', 'outbox.outboxHealth', 'outbox.reviveDead', 'leases.runsUnderWay'];

const now = Date.UTC(2026, 10, 24);
const later = now + 3_600_000;

// Of this test alone.
const secretKey = '5'.repeat(64);
const ring = createKeyring({ home: '/nowhere', key: [secretKey] });
const recordingKey = deriveKey(Buffer.from(secretKey, 'hex'));

/** One of two tenants that have the same of everything; their own name stands in each text. */
interface Side {
  tenant: string;
  agent: Principal;
  person: Principal;
  manifest: Manifest;
  seal: string;
}

function sideOf(tenant: string): Side {
  const manifest: Manifest = {
    kind: 'skill',
    name: 'double',
    title: 'Double',
    description: `Doubles a number of ${tenant}.`,
    useWhen: [],
    exampleRequests: [],
    tags: [],
    input: { type: 'object' },
    language: 'javascript',
    engine: 'quickjs',
    limits: { timeoutMs: 1_000, memoryMb: 64, maxOutputBytes: 1_000 } as unknown as Manifest['limits'],
    capabilities: { tools: [{ name: 'base', range: '^1.0.0' }] } as unknown as Manifest['capabilities'],
    risk: 'none',
    source: sha256('source'),
    compiled: sha256('compiled'),
    examples: sha256('[]'),
    lock: { base: { version: '1.0.0', seal: `seal of base of ${tenant}` } },
  };
  return {
    tenant,
    manifest,
    seal: sha256(canonicalJson(manifest)),
    agent: createPrincipal('agent:ada', 'agent', ['author'], { tenant }),
    person: createPrincipal('person:ada', 'person', ['admin'], { tenant }),
  };
}

const question = ({ tenant }: Side): Question =>
  ({
    ...{ id: 'question', message: `Is this right for ${tenant}?`, for: 'anyone', expiresAt: later },
    form: { type: 'object', properties: {} },
  }) as unknown as Question;

const recordingOf = ({ tenant, seal }: Side, run: string): recordings.NewRecording => ({
  of: {
    ...{ tenant, run, callId: `call of ${run}`, tool: 'double', version: '1.1.0', seal },
    ...{ engine: 'quickjs', principal: `agent of ${tenant}` },
  },
  recording: { input: '{}', now, seed: 1, calls: [], ending: { value: `recorded by ${tenant}` } },
  ...{ at: now, expiresAt: later },
});

const messageOf = ({ tenant }: Side, key: string, claim: string | null): outbox.OutboxRow => ({
  ...{ tenant, topic: 'test', key, body: 'null', due_at: 0, put_at: now },
  ...{ revision: 1, attempts: 1, state: 'waiting', claim, error: null },
});

async function seed(trx: Db, side: Side): Promise<void> {
  const { tenant, manifest, seal } = side;
  const by = { created_at: now, created_by: `agent of ${tenant}` };
  for (const text of ['source', 'compiled', '[]']) await blobs.putBlob(trx, tenant, text);
  await blobs.putBlob(trx, tenant, `text of ${tenant}`);
  await trx
    .insertInto('entries')
    .values([
      { tenant, name: 'double', name_key: 'double', kind: 'skill', active_version: '1.1.0', generation: 1, ...by },
      { tenant, name: 'base', name_key: 'base', kind: 'skill', active_version: '1.0.0', generation: 2, ...by },
    ])
    .execute();
  const text = canonicalJson(manifest);
  const version = (name: string, number: string, ordinal: number, state: string, more: object = {}) => ({
    ...{ tenant, name, version: number, ordinal, state, seal, manifest: text, risk: 'none', reason: `of ${tenant}` },
    ...by,
    ...more,
  });
  await trx
    .insertInto('versions')
    .values([
      version('double', '1.0.0', 1, 'superseded'),
      version('double', '1.1.0', 2, 'active'),
      version('double', '1.2.0', 3, 'pending'),
      version('base', '1.0.0', 1, 'active', { seal: manifest.lock.base?.seal }),
    ])
    .execute();
  await trx
    .insertInto('dependencies')
    .values({
      ...{ tenant, name: 'double', version: '1.1.0', dependency: 'base', range: `range of ${tenant}` },
      ...{ locked_version: '1.0.0', locked_seal: manifest.lock.base?.seal ?? '' },
    })
    .execute();
  const review = { tenant, subject_kind: 'version', subject_name: 'double', seal, opened_at: now };
  const opened = { opened_by: `agent of ${tenant}`, evidence: JSON.stringify({ why: `of ${tenant}` }) };
  await trx
    .insertInto('reviews')
    .values([
      { ...review, ...opened, id: 'open', subject_version: '1.2.0', state: 'open', closed_at: null },
      { ...review, ...opened, id: 'closed', subject_version: '0.9.0', state: 'rejected', closed_at: now },
    ])
    .execute();
  await trx
    .insertInto('decisions')
    .values({
      ...{ tenant, review_id: 'closed', principal: `person of ${tenant}`, decision: 'rejected' },
      ...{ seal: 'a seal that was rejected', comment: `not for ${tenant}`, how: 'cli', at: now },
    })
    .execute();
  for (const id of [
    'run',
    'answered',
    'asking',
    'to cancel',
    'to drop',
    'to end',
    'to hand back',
    'to move',
    'to take',
  ]) {
    await runs.insertRun(
      trx,
      {
        ...{ id, tool: `tool of ${tenant}`, request: { input: {}, principal: side.agent, via: 'mcp' as const } },
        ...{ state: id === 'asking' ? ('asks' as const) : ('running' as const), leaseUntil: later, expiresAt: later },
        holder: 'somebody',
        key: { idempotencyKey: `key of ${id}`, inputHash: `hash of ${tenant}` },
      },
      now,
    );
  }
  await questions.insertQuestion(trx, { tenant, id: 'asking' }, question(side), now);
  const answered = { ...question(side), id: 'answered question' };
  await questions.insertQuestion(trx, { tenant, id: 'answered' }, answered, now);
  await questions.keepAnswer(
    trx,
    { tenant, id: 'answered' },
    {
      ...{ questionId: answered.id, value: { of: tenant }, by: side.agent, how: 'cli', at: now },
    },
  );
  for (const [key, claim] of [
    ['free', null],
    ['to settle', 'me'],
    ['to return', 'me'],
  ] as const)
    await trx
      .insertInto('outbox')
      .values(messageOf(side, key, claim))
      .execute();
  await trx
    .insertInto('tokens')
    .values({
      ...{ tenant, id: 'token', hash: sha256(`twk_${tenant}`), principal: `agent:${tenant}`, kind: 'agent' },
      ...{ roles: '["author"]', tools: null, expires_at: null, revoked_at: null, ...by },
    })
    .execute();
  await trx
    .insertInto('keys')
    .values({ tenant, name: 'signing', value: `key of ${tenant}`, created_at: now })
    .execute();
  const secret = { tenant, name: 'TOKEN', hosts: '["api.example.com"]', header: 'authorization' };
  const underKey = deriveKey(Buffer.from(secretKey, 'hex'));
  const sealed = encrypt(underKey, `secret of ${tenant}`, secrets.contextOf(secret));
  const setBy = { set_at: now, set_by: `person of ${tenant}` };
  for (const name of ['TOKEN', 'OLD'])
    await trx
      .insertInto('secrets')
      .values({ ...secret, name, key: underKey.id, sealed, ...setBy })
      .execute();
  await recordings.insertRecordings(trx, underKey, [recordingOf(side, 'recorded')], 10, now);
  await trx
    .insertInto('calls')
    .values({
      ...{ tenant, id: 'call', at: now, tool: `tool of ${tenant}`, kind: 'skill', version: null },
      ...{ principal: 'agent:ada', via: 'mcp', code: 'done', duration_ms: 1, bytes_in: 1, bytes_out: 1, tokens: 1 },
      ...{ cost: null, run: null, parent: null, search: null },
    })
    .execute();
  await generation.raiseGeneration(trx, tenant);
}

type Ask = (database: Database, side: Side) => Promise<unknown>;
const key = (id: string, { tenant }: Side) => ({ tenant, id });
const inWrite =
  (work: (trx: Db, side: Side) => Promise<unknown>): Ask =>
  (database, side) =>
    database.write((trx) => work(trx, side));
/** One for both. */
const cache = createMemoryCache(1_000_000);
const noCatalog = { get: () => undefined } as unknown as Catalog;

/** Everything that reads: what it gives names its own tenant, and never the other. */
const reading: Record<string, Ask> = {
  'blobs.getBlob': (db, { tenant }) => blobs.getBlob(db.read, tenant, sha256(`text of ${tenant}`)),
  'blobs.readBlob': (db, { tenant }) => blobs.readBlob({ db: db.read, cache }, tenant, sha256(`text of ${tenant}`)),
  'decide.checkRollback': (db, { tenant }) => decide.checkRollback(db.read, tenant, 'double', '1.0.0'),
  'dependencies.resolveUses': (db, { tenant }) =>
    dependencies.resolveUses({ db: db.read, catalog: noCatalog, tenant }, [{ name: 'base', line: 1, column: 1 }]),
  'keys.signingKey': (db, { tenant }) => keys.signingKey(db, tenant, 'signing'),
  'library.entriesSince': (db, { tenant }) => library.entriesSince(db.read, tenant, 0),
  'library.getVersion': (db, { tenant }) => library.getVersion(db.read, tenant, 'double', '1.1.0'),
  'library.listVersions': (db, { tenant }) => library.listVersions(db.read, tenant, 'double'),
  'library.lockOf': (db, { tenant }) => library.lockOf(db.read, tenant, 'double', '1.1.0'),
  'questions.findQuestion': (db, side) => questions.findQuestion(db.read, key('asking', side), 'question'),
  'questions.openQuestion': (db, side) => questions.openQuestion(db.read, { ...key('asking', side), state: 'asks' }),
  'questions.lastAnswer': (db, side) => questions.lastAnswer(db.read, key('answered', side)),
  'read.getRun': (db, { agent }) => read.getRun(db, agent, 'run', now),
  'recordings.listRecordings': (db, { tenant }) => recordings.listRecordings(db.read, tenant, { limit: 10 }, now),
  'recordings.openRecording': (db, { tenant }) => recordings.openRecording(db, ring, tenant, 'recorded', now),
  'reviews.findOpenReview': (db, { tenant }) =>
    reviews.findOpenReview(db.read, tenant, { kind: 'version', name: 'double', version: '1.2.0' }),
  'reviews.findRejection': (db, { tenant }) =>
    reviews.findRejection(db.read, tenant, { kind: 'version', name: 'double', seal: 'a seal that was rejected' }),
  'reviews.getReview': (db, { tenant }) => reviews.getReview(db.read, tenant, 'closed'),
  'reviews.listReviews': (db, { tenant }) => reviews.listReviews(db.read, tenant, undefined, 10),
  'runs.findByKey': (db, { agent }) => runs.findByKey(db.read, agent, 'key of run', now),
  'runs.findRun': (db, side) => runs.findRun(db.read, key('run', side), now),
  'leases.findTaken': (db, side) => leases.findTaken(db.read, key('run', side), 'somebody', now),
  'runs.listRuns': (db, { tenant }) => runs.listRuns(db.read, tenant, { limit: 10 }, now),
  'secrets.listSecrets': (db, { tenant }) => secrets.listSecrets(db, tenant),
  'secrets.openSecret': (db, { tenant }) => secrets.openSecret(db, ring, tenant, 'TOKEN'),
  'tokens.listTokens': (db, { tenant }) => tokens.listTokens(db, tenant),
  'tokens.principalOf': (db, { tenant }) => tokens.principalOf(db, `twk_${tenant}`, now),
  'usage.mostUsed': (db, { tenant }) => usage.mostUsed(db.read, tenant, 0, 10),
  'view.viewReview': (db, { tenant }) => view.viewReview(db.read, tenant, 'open'),
};

/** What reads and names nothing: what it gives for a tenant does not depend on the other one. */
const counting: Record<string, Ask> = {
  'dependencies.findRing': (db, { tenant, manifest }) =>
    dependencies.findRing(db.read, tenant, 'base', { double: { version: '1.1.0', seal: manifest.source } }),
  'dependencies.isLockRunnable': (db, { tenant, manifest }) =>
    dependencies.isLockRunnable(db.read, tenant, manifest.lock),
  'outbox.isInOutbox': (db, { tenant }) => outbox.isInOutbox(db.read, { tenant, topic: 'test', key: 'free' }, later),
  'library.dependentsOf': (db, { tenant }) => library.dependentsOf(db.read, tenant, 'base'),
  'library.findEntry': (db, { tenant }) => library.findEntry(db.read, tenant, 'double'),
};

const endAt = { state: 'done' as const, outcome: 'ended', expiresAt: later };
/** Everything that writes: no row of the other tenant is another one afterwards. */
const writing: Record<string, Ask> = {
  'blobs.putBlob': inWrite((trx, { tenant }) => blobs.putBlob(trx, tenant, 'another text')),
  'decide.activate': inWrite((trx, { tenant }) => decide.activate(trx, tenant, 'double', '1.0.0', 'it is right')),
  'decide.rollBack': inWrite((trx, { tenant }) => decide.rollBack(trx, tenant, 'double', '1.1.0', 'it was right')),
  'generation.raiseGeneration': inWrite((trx, { tenant }) => generation.raiseGeneration(trx, tenant)),
  'library.insertEntry': inWrite((trx, { tenant }) =>
    library.insertEntry(trx, tenant, {
      ...{ name: 'new', nameKey: 'new', kind: 'skill' },
      createdAt: now,
      createdBy: 'me',
    }),
  ),
  'library.insertVersion': inWrite((trx, { tenant, manifest, seal }) =>
    library.insertVersion(trx, tenant, {
      ...{ name: 'double', version: '1.3.0', ordinal: 4, state: 'pending', seal, manifest, risk: 'none' },
      ...{ createdAt: now, createdBy: 'me' },
    }),
  ),
  'library.pointTo': inWrite((trx, { tenant }) => library.pointTo(trx, tenant, 'double', '1.0.0')),
  'library.setState': inWrite((trx, { tenant }) => library.setState(trx, tenant, 'double', '1.0.0', 'deprecated')),
  'questions.insertQuestion': inWrite((trx, side) =>
    questions.insertQuestion(trx, key('asking', side), { ...question(side), id: 'another' }, now),
  ),
  'questions.keepAnswer': inWrite((trx, side) =>
    questions.keepAnswer(trx, key('asking', side), {
      ...{ questionId: 'question', value: { is: true }, by: side.person },
      how: 'cli',
      at: now,
    }),
  ),
  'read.cancelRun': (db, { agent }) => read.cancelRun(db, agent, 'to cancel', now),
  'read.keepResult': (db, { agent }) => read.keepResult(db, { principal: agent, tool: 'x', input: {}, value: 1 }, now),
  'recordings.forgetExpired': inWrite((trx, { tenant }) => recordings.forgetExpired(trx, tenant, later + 1)),
  'recordings.insertRecordings': inWrite((trx, side) =>
    recordings.insertRecordings(trx, recordingKey, [recordingOf(side, 'another')], 1, now),
  ),
  'reviews.decide': inWrite((trx, { person, seal }) =>
    reviews.decide(
      trx,
      decide.libraryReviewEnds,
      person,
      { ...{ id: 'open', seal }, verdict: 'approved', how: 'cli' },
      now,
    ),
  ),
  'reviews.openReview': inWrite((trx, { agent, seal }) =>
    reviews.openReview(trx, agent, { kind: 'version', name: 'double', version: '1.2.0', seal }, {}, now),
  ),
  'reviews.voidReviews': inWrite((trx, { tenant }) => reviews.voidReviews(trx, tenant, 'version', 'double', now)),
  'rollback.requestRollback': (db, { person }) =>
    rollback.requestRollback(db, { name: 'double', version: '1.0.0', reason: 'it was right', principal: person }),
  'runs.dropRun': inWrite((trx, side) => runs.dropRun(trx, key('to drop', side), 'somebody')),
  'runs.endRun': inWrite((trx, side) => runs.endRun(trx, key('to end', side), endAt, now)),
  'runs.insertRun': inWrite((trx, { agent }) =>
    runs.insertRun(
      trx,
      { ...{ id: 'new', tool: 'x', request: { input: {}, principal: agent, via: 'mcp' } }, ...endAt },
      now,
    ),
  ),
  'runs.moveRun': inWrite((trx, side) =>
    runs.moveRun(
      trx,
      key('to move', side),
      { from: 'running' },
      { state: 'asks', leaseUntil: later, expiresAt: later },
      now,
    ),
  ),
  'forgetting.forgetLater': inWrite((trx, { tenant }) =>
    forgetting.forgetLater(trx, { tenant, topic: 'forget_what' }, later, now),
  ),
  'leases.renewLease': inWrite((trx, side) =>
    leases.renewLease(trx, [{ ...key('run', side), holder: 'somebody' }], later + 1),
  ),
  'leases.handBack': inWrite((trx, side) =>
    leases.handBack(trx, [{ ...key('to hand back', side), holder: 'somebody' }]),
  ),
  'leases.takeRun': inWrite((trx, side) =>
    leases.takeRun(
      trx,
      { ...key('to take', side), tool: 'x', holder: 'somebody', leaseUntil: later },
      { holder: 'another', leaseUntil: later },
    ),
  ),
  'runs.forgetExpired': inWrite((trx, { tenant }) => runs.forgetExpired(trx, tenant, later + 1)),
  'outbox.putOutbox': inWrite((trx, { tenant }) => outbox.putOutbox(trx, { tenant, topic: 'test', key: 'new' }, now)),
  'outbox.claimMessage': inWrite((trx, side) => outbox.claimMessage(trx, messageOf(side, 'free', null), 'another')),
  'outbox.settleMessage': inWrite((trx, side) => outbox.settleMessage(trx, messageOf(side, 'to settle', 'me'))),
  'outbox.returnMessage': inWrite((trx, side) =>
    outbox.returnMessage(trx, messageOf(side, 'to return', 'me'), { due_at: 1 }),
  ),
  'secrets.removeSecret': (db, { tenant }) => secrets.removeSecret(db, tenant, 'OLD'),
  'secrets.setSecret': (db, { person }) =>
    secrets.setSecret(db, ring, person, { name: 'TOKEN', value: 'another value' }, now),
  'tokens.createToken': (db, { person }) =>
    tokens.createToken(db, person, { name: 'ci', kind: 'agent', roles: ['author'] }, now),
  'tokens.revokeToken': (db, { tenant }) => tokens.revokeToken(db, tenant, 'token', now),
};

const tables = [
  ...['entries', 'versions', 'blobs', 'dependencies', 'reviews', 'decisions', 'runs'],
  ...['questions', 'tokens', 'keys', 'secrets', 'recordings', 'calls', 'generation', 'outbox'],
] as (keyof Omit<Tables, 'migrations'>)[];

async function rowsOf({ read: db }: Database, tenant: string): Promise<string[]> {
  const all = await Promise.all(
    tables.map((table) => db.selectFrom(table).selectAll().where('tenant', '=', tenant).execute()),
  );
  return all.flatMap((rows, n) => rows.map((row) => `${tables[n]} ${JSON.stringify(row)}`).sort());
}

/** Two tenants with the same names and ids, of which neither sees or changes what is the other's. */
export function tenantSuite(name: string, missing: string, open: () => Promise<Database>): void {
  const [ours, theirs] = [sideOf('ours'), sideOf('theirs')];
  const openSeeded = async (): Promise<Database> => {
    const database = await open();
    onTestFinished(() => database.close());
    await database.write(async (trx) => {
      for (const side of [ours, theirs]) await seed(trx, side);
    });
    return database;
  };

  describe.skipIf(missing !== '')(`two tenants over ${name}${missing}`, () => {
    it('read each their own, by every query', async () => {
      const database = await openSeeded();
      for (const [title, ask] of Object.entries(reading)) {
        const seen = JSON.stringify(await ask(database, ours));
        expect([title, seen]).toEqual([title, expect.stringContaining('ours')]);
        expect([title, seen]).toEqual([title, expect.not.stringContaining('theirs')]);
      }
    });

    it('read the same whether or not the other is there', async () => {
      const database = await openSeeded();
      const both = await Promise.all(Object.values(counting).map((ask) => ask(database, ours)));
      const nobody = sideOf('nobody');
      const none = await Promise.all(Object.values(counting).map((ask) => ask(database, nobody)));
      expect(both).toEqual([
        ['base', 'double', 'base'],
        true,
        true,
        [{ name: 'double', version: '1.1.0' }],
        expect.anything(),
      ]);
      expect(none).toEqual([undefined, false, false, [], undefined]);
    });

    it('change each their own, by every write', async () => {
      const database = await openSeeded();
      const before = await rowsOf(database, theirs.tenant);
      for (const [title, ask] of Object.entries(writing)) {
        const own = await rowsOf(database, ours.tenant);
        await ask(database, ours);
        expect([title, await rowsOf(database, ours.tenant)]).not.toEqual([title, own]);
        expect([title, await rowsOf(database, theirs.tenant)]).toEqual([title, before]);
      }
    });
  });

  it('are asked by nothing that these lists leave out', () => {
    const exported = Object.entries(modules).flatMap(([module, all]) =>
      Object.entries(all).flatMap(([export_, value]) => (typeof value === 'function' ? [`${module}.${export_}`] : [])),
    );
    const listed = [reading, counting, writing].flatMap((list) => Object.keys(list));
    expect([...listed, ...asksNothing, ...forAll].sort()).toEqual(exported.sort());
  });
}
