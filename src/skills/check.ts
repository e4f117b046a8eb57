import type { File } from '@babel/types';
import { type Declared, readCapabilities } from '../code/capabilities.ts';
import { checkProgram } from '../code/check-program.ts';
import { type Language, orTooDeep, parseProgram } from '../code/parse.ts';
import { readProgram } from '../code/program.ts';
import { compileProgram } from '../code/strip.ts';
import { compareUses } from '../code/undeclared.ts';
import { findUses, type NamedTool } from '../code/uses.ts';
import type { Finding } from '../contracts.ts';
import { byteLength, canonicalJson, isWithinDepth, sha256 } from '../json.ts';
import type { Inspected, ToolUse } from '../library/kind.ts';
import { defaultLimits, type Engine } from '../sandbox/sandbox.ts';
import { findPoisonIn } from '../text/poison.ts';
import { type SkillDraft, skillDraft } from './draft.ts';
import { chooseEngine } from './engine.ts';
import { type PythonParts, readPython } from './python.ts';
import { applyOverrides, checkCredentials, checkTwins, checkWords } from './texts.ts';

const maxExampleDepth = 64;
const maxExamplesBytes = 1_000_000;

/** What a skill may declare, as the settings have it, and the names that it may not imitate. */
export interface SkillRules extends PythonParts {
  allowAnyHost: boolean;
  builtins: () => readonly string[];
}

/** Judges a skill's draft without running it: names, schemas, texts, source, and what that reaches for and declares. */
export async function inspectSkill(input: unknown, rules: SkillRules): Promise<Inspected> {
  const draft = skillDraft.parse(input);
  const { declared, findings: aboutCapabilities } = readCapabilities(draft.capabilities ?? {}, rules);
  const { net, secrets, files, tools } = declared;
  const code = await inspectCode(draft, declared, rules);
  const found = [
    ...checkWords(draft),
    ...(await checkSchemas(draft)),
    ...(await checkTwins(draft, rules.builtins())),
    ...checkExamples(draft),
    ...aboutCapabilities,
    ...code.findings,
  ];
  const findings = applyOverrides(found, draft.overrides);
  const { compiled } = code;
  const judged = { findings, uses: ranged(code.uses, tools), reach: { net, secrets, files }, examples: draft.examples };
  const isSound = compiled !== undefined && findings.every((finding) => finding.severity !== 'error');
  if (!isSound) return judged;
  const examples = canonicalJson(draft.examples);
  const texts = { source: draft.code, compiled, examples };
  return { ...judged, texts, manifest: toManifest(draft, texts, code.engine) };
}

/** Uses without a range of their own have the declared one. */
const ranged = (uses: readonly NamedTool[], tools: Declared['tools']): ToolUse[] =>
  uses.map((use) => {
    const range = tools?.find(({ name }) => name === use.name)?.range;
    return use.range === undefined && range !== undefined && range !== '*' ? { ...use, range } : use;
  });

function toManifest(
  draft: SkillDraft,
  texts: NonNullable<Inspected['texts']>,
  engine: Engine,
): NonNullable<Inspected['manifest']> {
  return {
    kind: 'skill',
    name: draft.name,
    title: titleOf(draft.name),
    description: draft.description,
    useWhen: draft.use_when,
    exampleRequests: draft.example_requests,
    tags: draft.tags,
    input: draft.input_schema,
    ...(draft.output_schema && { output: draft.output_schema }),
    language: draft.language,
    engine,
    limits: { ...defaultLimits },
    source: sha256(texts.source),
    compiled: sha256(texts.compiled),
    examples: sha256(texts.examples),
    ...(draft.overrides.length > 0 && { overrides: draft.overrides }),
  };
}

/** `csv_summary` → `Csv summary`. */
export function titleOf(name: string): string {
  const words = name.replaceAll(/[_-]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

async function checkSchemas(draft: SkillDraft): Promise<Finding[]> {
  const { checkSchema } = await import('../catalog/schema.ts');
  return [
    ...checkSchema('input_schema', draft.input_schema),
    ...(draft.output_schema ? checkSchema('output_schema', draft.output_schema) : []),
  ];
}

function checkExamples({ examples }: SkillDraft): Finding[] {
  if (!isWithinDepth(examples, maxExampleDepth)) {
    return [problem(`examples nest deeper than ${maxExampleDepth}`, 'Use flatter data.')];
  }
  if (byteLength(JSON.stringify(examples)) > maxExamplesBytes) {
    return [problem(`examples are over ${maxExamplesBytes} bytes`, 'Use smaller data; one small example says enough.')];
  }
  if (!isJson(examples)) return [problem('examples hold a number that JSON cannot hold', 'Use a smaller number.')];
  return findPoisonIn('examples', examples);
}

const problem = (message: string, remedy: string): Finding => ({
  rule: 'examples',
  severity: 'error',
  where: 'examples',
  message,
  remedy,
});

// JSON text can hold 1e999, which is read as a number that no JSON text can hold.
const isJson = (value: unknown): boolean =>
  typeof value === 'object' && value !== null
    ? Object.values(value).every(isJson)
    : typeof value !== 'number' || Number.isFinite(value);

interface InspectedCode {
  uses: NamedTool[];
  compiled?: string;
  findings: Finding[];
}

async function inspectCode(
  draft: SkillDraft,
  declared: Declared,
  rules: SkillRules,
): Promise<InspectedCode & { engine: Engine }> {
  const { code, language } = draft;
  if (language === 'python') return { engine: 'python', ...(await inspectPython(code, declared, rules)) };
  const inspected = await inspectScript(code, language, declared);
  return { ...inspected, ...(await chooseEngine(inspected.findings, rules.engineProblem)) };
}

async function inspectPython(code: string, declared: Declared, rules: SkillRules): Promise<InspectedCode> {
  const { findings, uses } = await readPython(rules, code);
  if (!uses) return { uses: [], findings };
  const about = [...compareUses(uses, declared), ...checkCredentials(code)];
  return { uses: uses.tools, compiled: code, findings: [...findings, ...about] };
}

async function inspectScript(code: string, language: Language, declared: Declared): Promise<InspectedCode> {
  const { ast, findings } = await parseProgram(code, language);
  if (!ast || findings.length > 0) return { uses: [], findings };
  const { uses, findings: about } = await inspectTree(ast, declared);
  const inspected = [...about, ...checkCredentials(code)];
  const compiled = await compileProgram(code, language);
  if ('findings' in compiled) return { uses, findings: [...inspected, ...compiled.findings] };
  return { uses, compiled: compiled.text, findings: inspected };
}

async function inspectTree(ast: File, declared: Declared): Promise<InspectedCode> {
  const inspected = await orTooDeep(async () => {
    const program = await readProgram(ast);
    const { uses, findings } = findUses(program);
    return { uses: uses.tools, findings: [...checkProgram(program), ...findings, ...compareUses(uses, declared)] };
  });
  return { uses: [], ...inspected };
}
