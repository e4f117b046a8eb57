// All in small letters. Every gap is bounded (`{1,20}`, `{0,4}`), so a match costs the same at every start: linear in the text.
const word = String.raw`(?:[^\s.!?<>]{1,20} )`;
const calls = '(?:call|calling|use|using|run|running|invoke|invoking|execute|executing)';

const orders: readonly RegExp[] = [
  `\\b(?:ignore|disregard|forget|override|bypass)(?:ing)? ${word}{0,4}(?:previous|prior|above|earlier|preceding|other|system|your|all) ${word}{0,3}(?:instructions?|prompts?|rules?|messages?|guidelines?|restrictions?)\\b`,
  `\\b(?:do not|don't|don’t|never|without) ${word}{0,2}(?:tell|telling|inform|informing|mention|mentioning|reveal|revealing|show|showing|notify|notifying|alert|alerting|warn|warning|ask|asking) ${word}{0,5}(?:user|human|person|operator|owner|anyone|anybody)\\b`,
  `\\b(?:hide|conceal|keep) ${word}{0,4}(?:from|secret from) (?:the )?(?:user|human|person|operator)\\b`,
  `\\byou (?:must|should|shall|have to|need to|are required to|will) ${word}{0,2}(?:call|use|run|invoke|execute|read|send|include|pass|append|obey|follow|comply)\\b`,
  `\\balways ${calls} (?:this|the) ${word}{0,2}(?:tool|skill|function)`,
  `\\b(?:before|prior to|instead of|after) (?:you )?${calls} ${word}{0,2}(?:any|other|another|all|every) ${word}{0,2}(?:tool|skill|function)s?\\b`,
  `\\b(?:prefer|use|choose) this (?:tool|skill) (?:over|instead of|rather than|before)\\b`,
  `\\b(?:you are now|pretend (?:to be|you are)|act as if you|from now on,? you|new (?:system )?instructions?:|your new (?:role|task|instructions?))`,
  `\\b(?:your|the|hidden|reveal) ${word}{0,2}system prompt\\b`,
  `\\b(?:entire|full|whole|complete|current) (?:conversation|chat)(?: history)?\\b`,
  `\\b(?:conversation|chat) history\\b`,
  `</?(?:system|assistant|user|human|important|instructions?|admin|developer|secret|hidden|tool_result|function_results)\\b[^<>]{0,40}>`,
  `<\\|[a-z_]{1,30}\\|>|\\[/?inst\\]|<</?sys>>`,
  `(?:^|[.!?:] )(?:system|assistant|developer) ?: `,
  `~/\\.(?:ssh|aws|config|netrc|env)\\b|\\bid_(?:rsa|ed25519)\\b|/etc/(?:passwd|shadow)\\b`,
].map((source) => new RegExp(source));

/** Finds the phrases of `text` with which tool descriptions try to steer a model, one for each way of doing it. English only. */
export function findOrders(text: string): string[] {
  const plain = plainText(text);
  return orders.flatMap((order) => order.exec(plain)?.[0].trim() ?? []);
}

// Capitals, full-width letters, invisible characters and line breaks must not hide a phrase.
function plainText(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/[\p{DI}\p{Cf}]/gu, '')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .toLowerCase();
}
