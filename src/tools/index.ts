import type { Catalog, ToolSource } from '../catalog/catalog.ts';
import type { Tool } from '../catalog/tool.ts';
import type { SaveParts } from '../library/save.ts';
import type { Engine, Sandbox } from '../sandbox/sandbox.ts';
import type { ToolSearch } from '../search/search.ts';
import type { EngineProblem } from '../skills/engine.ts';
import type { Cache } from '../store/cache.ts';
import type { Database } from '../store/database.ts';
import { callReadTool, callTool } from './call-tool.ts';
import { describeTool } from './describe-tool.ts';
import { listVersions } from './list-versions.ts';
import { decideReview, listReviews } from './reviews.ts';
import { rollback } from './rollback.ts';
import { runCode } from './run-code.ts';
import { answerRun, cancelRun, getRun, listRuns } from './runs.ts';
import { saveSkill } from './save-skill.ts';
import { searchTools } from './search-tools.ts';
import { validateSkill } from './validate-skill.ts';

/** Built-ins that `tools/list` always shows, in this order; the others are found by search and called by call_tool. */
export const listedBuiltins: readonly string[] = [
  'search_tools',
  'describe_tool',
  'call_tool',
  'call_read_tool',
  'run_code',
  'save_skill',
  'list_reviews',
  'decide_review',
  'get_run',
];

export interface BuiltinParts {
  database: Database;
  /** For the texts of versions. */
  texts: Cache;
  source: ToolSource;
  catalog: () => Catalog;
  search: ToolSearch;
  library: () => SaveParts;
  sandbox: (engine: Engine) => Sandbox;
  engineProblem: EngineProblem;
  elicitationApproves: boolean;
}

/** Every built-in tool, in listing order. */
export function createBuiltins({
  database,
  texts,
  source,
  catalog,
  search,
  library,
  sandbox,
  engineProblem,
  elicitationApproves,
}: BuiltinParts): Tool[] {
  return [
    searchTools(search),
    describeTool({ catalog, source, database, texts }),
    callTool,
    callReadTool,
    runCode({ database, sandbox, engineProblem }),
    saveSkill(library),
    listReviews(database),
    decideReview({ database, elicitationApproves }),
    getRun(database),
    validateSkill(library),
    listVersions(database),
    rollback(database),
    listRuns(database),
    cancelRun(database),
    answerRun,
  ];
}
