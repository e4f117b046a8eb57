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
    state: string;
    outcome: string;
    created_at: number;
    expires_at: number;
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
  generation: { tenant: string; value: number };
  migrations: { id: Generated<number>; name: string; at: number };
}

export type Db = Kysely<Tables>;
