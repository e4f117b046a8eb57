// All in small letters. Every gap is bounded (`{1,20}`, `{0,4}`), so a match costs the same at every start: linear in the text.
const word = String.raw`(?:[^\s.!?<>]{1,20} )`;
const calls = '(?:call|calling|use|using|run|running|invoke|invoking|execute|executing)';

const orders: readonly RegExp[] = [
  `\\b(?:ignore|disregard|forget|override|bypass)(?:ing)? ${word}{0,4}(?:previous|prior|above|earlier|preceding|other|system|your|all) ${word}{0,3}(?:instructions?|prompts?|rules?|messages?|guidelines?|restrictions?)\\b`,
  `\\b(?:do not|don't|don’t|never|without) ${word}{0,2}(?:tell|telling|inform|informing|mention|mentioning|reveal|revealing|show|showing|notify|notifying|alert|alerting|warn|warning|ask|asking) ${word}{0,5}(?:user|human|person|operator|owner|anyone|anybody)\\b`,
  `\\b(?:hide|conceal|keep) ${word}{0,7}(?:from|secret from) (?:the )?(?:user|human|person|operator)\\b`,
  `\\byou (?:must|should|shall|have to|need to|are required to|will) ${word}{0,2}(?:call|use|run|invoke|execute|read|send|include|pass|append|obey|follow|comply)\\b`,
  `\\balways ${calls} (?:this|the) ${word}{0,2}(?:tool|skill|function)`,
  `\\b(?:before|prior to|instead of|after) (?:you )?${calls} ${word}{0,2}(?:any|other|another|all|every) ${word}{0,2}(?:tool|skill|function)s?\\b`,
  `\\b(?:prefer|use|choose) this (?:tool|skill) (?:over|instead of|rather than|before)\\b`,
  `\\b(?:you are now|pretend (?:to be|you are)|act as if you|from now on,? you|new (?:system )?instructions?:|your new (?:role|task|instructions?))`,
  `\\b(?:your|the|hidden|reveal) ${word}{0,2}system prompt\\b`,
  `\\b(?:entire|full|whole|complete|current) (?:conversation|chat)(?: history)?\\b`,
  `\\b(?:send|include|pass|append|attach|put|copy|forward|provide|add|share) ${word}{0,5}(?:conversation|chat) history\\b`,
  `\\bforget (?:everything|anything|all)(?: that)? you (?:were|have|had|know)\\b`,
  `\\b(?:bypass|skip|circumvent|avoid) (?:the |any |all |its )?(?:approval|review|confirmation|permission|safety)\\b`,
  `\\buser (?:has )?already (?:agreed|approved|consented|confirmed)\\b`,
  `\\bapprove ${word}{0,3}(?:requests?|reviews?|calls?|actions?) (?:yourself|without|automatically|at once)\\b`,
  `\\bno need to (?:ask|tell|inform|notify|confirm)\\b`,
  `\\b(?:do not|don't|don’t|never) (?:use|call|trust) any other (?:tool|skill)\\b`,
  `\\b(?:trust|believe|obey) (?:only )?this (?:one|tool|skill)\\b`,
  `\\breveal (?:your|the|all|its) ${word}{0,2}(?:instructions|prompts?|rules)\\b`,
  `\\brepeat ${word}{0,3}above\\b`,
  `\\b(?:whenever|when|if|time) (?:the user|you) ${word}{1,8}${calls} [a-z0-9]+_[a-z0-9_]+`,
  `\\b(?:tell|assure|say to|convince) the user ${word}{0,10}(?:even if|even when|although|regardless)\\b`,
  `(?:^|[.!?] )say that ${word}{0,6}(?:when|even if|although)\\b`,
  `\\b(?:secretly|silently|covertly|discreetly|quietly) (?:add|send|read|forward|copy|upload|include|call|append|store|pass|post)\\b`,
  `\\bexfiltrate (?:the|all|any|every|your)\\b`,
  `\\b(?:attach|include|send|add|pass|append|upload|copy|put|dump) ${word}{0,4}(?:environment variables|env vars|working (?:folder|directory)|credentials|private keys?)\\b`,
  `\\b(?:your|the) instructions (?:have|are|were) (?:changed|replaced|void)\\b|\\bis an order\\b`,
  `\\b(?:ignore|disregard|forget) (?:the|all|any|these) ${word}{0,2}(?:instructions?|prompts?|rules?|guidelines?) (?:above|before)\\b`,
  `\\b(?:assistant|agent|llm|ai) (?:must|shall|has to|should (?:never|always|first)) ${word}{0,3}(?:call|use|run|invoke|send|read|include|mention|tell|reveal|follow|obey)\\b`,
  `(?:^|[.!?,:] )deny (?:that|having)\\b`,
  `\\bact as (?:an? |the )?(?:admin|administrator|root|system|developer)\\b`,
  `\\bnever mention this (?:tool|skill|step)\\b|\\buse this (?:tool|skill) (?:first|always)\\b|\\bwhatever the user (?:asks|says)\\b`,
  `\\btreat ${word}{0,5}as (?:an? |your )?(?:instructions?|orders?|commands?)\\b`,
  `\\b(?:execute|follow|obey|run) ${word}{0,3}(?:commands?|instructions?|orders?) ${word}{0,4}(?:contains?|results?|outputs?|response|without)\\b`,
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
