/** What a kind of credential looks like; the kinds with a mark of their own first. */
const kinds: readonly (readonly [string, RegExp])[] = [
  ['a private key', /-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----/],
  ['an AWS access key', /\b(?:AKIA|ASIA)[A-Z2-7]{16}\b/],
  ['a GitHub token', /\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{50,}/],
  ['a GitLab token', /\bglpat-[\w-]{20,}/],
  ['an API key of a model vendor', /\bsk-(?:[a-z]{2,10}\d{0,2}-){0,3}[A-Za-z0-9_-]{24,}/],
  ['a Stripe key', /\b[rs]k_live_[A-Za-z0-9]{20,}/],
  ['a Slack token', /\bxox[abeoprs]-[A-Za-z0-9-]{20,}/],
  ['a Google API key', /\bAIza[\w-]{35}/],
  ['an npm token', /\bnpm_[A-Za-z0-9]{36}/],
  ['a Hugging Face token', /\bhf_[A-Za-z]{34,}/],
  ['a SendGrid key', /\bSG\.[\w-]{16,}\.[\w-]{32,}/],
  ['a token of ToolWeaver', /\btwk_[\w-]{40,}/],
  ['a signed token (JWT)', /\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{20,}/],
  ['a bearer token', /\bBearer [\w.~+/-]{24,}/i],
  ['an address with a password', /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@]{1,60}:([^\s/@]{6,80})@[\w.-]{3,}/i],
  [
    'a password or key',
    /\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)["']?\s{0,3}[:=]\s{0,3}["']?[^\s"',;<>{}()[\]]{12,}/i,
  ],
];

// What stands for a credential in documentation: words of it, a letter again and again, a slot of ours.
const placeholder =
  /example|placeholder|your|my[_-]|change|dummy|redacted|\*{3}|\.{3}|x{4}|0{6}|1234567|^password$|\{\{secret:/i;

/** A text that looks like a credential; `index` counts UTF-16 units from 0. It never holds the credential itself. */
export interface LikelyCredential {
  what: string;
  index: number;
}

/** Finds the first of each kind of credential that a text seems to hold. */
export function findCredentials(text: string): LikelyCredential[] {
  return kinds.flatMap(([what, form]) => {
    const match = form.exec(text);
    if (!match) return [];
    // Of an address it is the password that counts.
    const found = match[1] ?? match[0];
    return placeholder.test(found) || !isRandom(what, found) ? [] : [{ what, index: match.index }];
  });
}

// Words have no digits among their letters; keys and passwords of machines do.
const isRandom = (what: string, found: string): boolean =>
  wordlike.includes(what) || (/\d/.test(found) && /[A-Za-z]/.test(found));

const wordlike: readonly string[] = ['a private key', 'a Hugging Face token'];
