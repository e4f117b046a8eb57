import type { Generated, Kysely } from 'kysely';

/** Rows of every table. Each key starts with `tenant`; times are milliseconds since 1970; JSON is canonical text. */
export interface Tables {
  entries: {
    tenant: string;
    name: string;
    /** The name in lower case without separators: what must be unique. */
    name_key: string;
    kind: string;
    active_version: string | null;
    /** The generation of the last change of this entry. */
    generation: number;
    created_at: number;
    created_by: string;
  };
  versions: {
    tenant: string;
    name: string;
    version: string;
    /** 1 for the first version of an entry, then 2, … */
    ordinal: number;
    state: string;
    seal: string;
    manifest: string;
    risk: string;
    created_at: number;
    created_by: string;
    /** Why it is in its state, where somebody said so. */
    reason: string | null;
  };
  blobs: { tenant: string; hash: string; bytes: Uint8Array };
  dependencies: {
    tenant: string;
    name: string;
    version: string;
    dependency: string;
    range: string;
    locked_version: string;
    locked_seal: string;
  };
  reviews: {
    tenant: string;
    id: string;
    subject_kind: string;
    subject_name: string;
    subject_version: string;
    seal: string;
    state: string;
    /** What reviewers are shown beside the subject: findings, example results, the reason given. */
    evidence: string;
    opened_at: number;
    opened_by: string;
    closed_at: number | null;
  };
  decisions: {
    tenant: string;
    review_id: string;
    principal: string;
    decision: string;
    seal: string;
    comment: string | null;
    how: string;
    at: number;
  };
  runs: {
    tenant: string;
    id: string;
    tool: string;
    version: string | null;
    principal: string;
    /** running, asks, done, failed or cancelled. */
    state: string;
    /** JSON: the value of a run that is done, the error of one that failed, else null. */
    outcome: string;
    created_at: number;
    expires_at: number;
    /** JSON of what it takes to go on: input, principal, via. */
    request: string | null;
    /** JSON of the last progress. */
    progress: string | null;
    updated_at: number | null;
    /** While it runs: moved on by its holder again and again; 0 when it was handed back. While it asks: until when. */
    lease_until: number | null;
    /** Which beginning of it may write its end; another after each take-over. */
    holder: string | null;
    /** How often it was taken over from a process that ended. */
    takes: number | null;
    idempotency_key: string | null;
    input_hash: string | null;
  };
  questions: {
    tenant: string;
    id: string;
    run: string;
    /** JSON of the whole question. */
    question: string;
    asked_at: number;
    expires_at: number;
    answer: string | null;
    answered_by: string | null;
    answered_how: string | null;
    answered_at: number | null;
  };
  tokens: {
    tenant: string;
    id: string;
    /** sha256 of the token, which itself is kept nowhere. */
    hash: string;
    principal: string;
    kind: string;
    /** JSON lists. */
    roles: string;
    tools: string | null;
    created_at: number;
    created_by: string;
    expires_at: number | null;
    revoked_at: number | null;
  };
  keys: { tenant: string; name: string; value: string; created_at: number };
  secrets: {
    tenant: string;
    name: string;
    /** JSON list of the hosts that may get it, in order. */
    hosts: string;
    header: string;
    /** Id of the key that it is under. */
    key: string;
    /** The encrypted value; it opens only with this tenant, name, hosts and header. */
    sealed: string;
    set_at: number;
    set_by: string;
  };
  recordings: {
    tenant: string;
    run: string;
    call_id: string;
    tool: string;
    version: string;
    seal: string;
    engine: string;
    principal: string;
    /** How the run ended: `done`, or the code of its error. */
    code: string;
    at: number;
    expires_at: number;
    /** Of what is encrypted. */
    bytes: number;
    /** Id of the key that it is under. */
    key: string;
    /** The encrypted recording; it opens only with these facts about it. */
    sealed: string;
  };
  calls: {
    tenant: string;
    id: string;
    at: number;
    tool: string;
    kind: string;
    version: string | null;
    principal: string;
    via: string;
    code: string;
    duration_ms: number;
    bytes_in: number;
    bytes_out: number;
    tokens: number;
    cost: number | null;
    run: string | null;
    parent: string | null;
    search: string | null;
  };
  outbox: {
    tenant: string;
    topic: string;
    /** What of that topic it is about; one message at a time. */
    key: string;
    /** JSON for the handler of the topic. */
    body: string;
    /** 0 for at once. */
    due_at: number;
    put_at: number;
    /** Raised each time that it is put again. */
    revision: number;
    /** How often a process began to handle it since it was put. */
    attempts: number;
    /** waiting, or dead when it was given up. */
    state: string;
    /** Which process has it under way. */
    claim: string | null;
    /** What went wrong last. */
    error: string | null;
  };
  generation: { tenant: string; value: number };
  migrations: { id: Generated<number>; name: string; at: number };
}

export type Db = Kysely<Tables>;
