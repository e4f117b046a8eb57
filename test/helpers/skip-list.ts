import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

/** Ends a run with the list of what it skipped, by name: titles say what was missing. */
export default class SkipList implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    // With a name pattern all others are skipped on purpose.
    if (this.#vitest?.config.testNamePattern) return;
    const names = modules.flatMap((module) => [
      ...new Set([...module.children.allTests('skipped')].map((test) => nameOf(module, test))),
    ]);
    const list = names.map((name) => `\n  - ${name}`).join('');
    this.#vitest?.logger.log(`\nSkipped: ${names.length === 0 ? 'nothing' : list}\n`);
  }
}

function nameOf({ relativeModuleId }: TestModule, test: TestCase): string {
  const result = test.result();
  const note = result.state === 'skipped' && result.note ? ` (${result.note})` : '';
  return `${relativeModuleId}: ${outermostSkipped(test).fullName}${note}`;
}

/** What was skipped as a whole is named once. */
function outermostSkipped(one: TestCase | TestSuite): TestCase | TestSuite {
  const { parent } = one;
  return parent.type === 'suite' && parent.options.mode === 'skip' ? outermostSkipped(parent) : one;
}
