import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { localTenant } from '../../src/access/principals.ts';
import { openHttpServer } from '../../src/cli/http-server.ts';
import { packageRoot } from '../../src/package.ts';
import { testApp } from '../helpers/app.ts';
import { makeHome } from '../helpers/process.ts';
import { hasPeers, peersMissing } from '../peers/foreign.ts';
import { serveHttp } from '../peers/servers.ts';
import { createExtension } from './extension.ts';
import { roadTools } from './road-tools.ts';
import { runSuite } from './suite.ts';

// Tasks are an extension that this product does not declare; x-mcp-header is a keyword that it does not list.
const isUnscored = (scenario: string): boolean =>
  scenario.startsWith('tasks-') || scenario === 'http-custom-header-server-validation';

/** The product's own listener and MCP edge, over an app with more tools, resources and prompts. */
async function serveFixtures(): Promise<string> {
  const app = await testApp({ settings: { httpAddress: '127.0.0.1:0', auth: 'none' } });
  for (const tool of roadTools(() => app.catalog)) app.catalog.put(localTenant, tool);
  const extended = { ...app, extend: createExtension(app) };
  const server = await openHttpServer(extended);
  onTestFinished(() => server.close());
  return `${server.url}/mcp`;
}

const expected = (file: string): string[] => [
  '--expected-failures',
  join(packageRoot, 'test/conformance/expected', file),
];
const required = (revision: string): string[] => ['--requirements', revision];

describe.skipIf(!hasPeers)(`with the fixtures of the conformance suites, this server${peersMissing}`, () => {
  it('passes all of release 0.1.16', async () => {
    const verdict = await runSuite('conformance-2025', await serveFixtures(), expected('none.yml'));
    expect(verdict).toMatchObject({ failing: [], passed: 40, failed: 0, code: 0 });
  });

  it('passes what 2025-11-25 requires, and what was added since', async () => {
    const args = [...required('2025-11-25'), ...expected('none.yml')];
    const verdict = await runSuite('conformance-2026', await serveFixtures(), args);
    expect(verdict).toMatchObject({ failing: [], passed: 81, failed: 0, code: 0 });
  });

  it('passes what 2026-07-28 requires, and all but extensions of what is not scored', async () => {
    const args = [...required('2026-07-28'), ...expected('none.yml')];
    const verdict = await runSuite('conformance-2026', await serveFixtures(), args);
    expect(verdict.failing.filter((scenario) => !isUnscored(scenario))).toEqual([]);
    expect(verdict).toMatchObject({ code: 0 });
    expect(verdict.passed).toBeGreaterThan(150);
  });
});

describe.skipIf(!hasPeers)(`as it is shipped, this server${peersMissing}`, () => {
  let url = '';
  beforeAll(async () => {
    const server = await serveHttp({ home: makeHome(), env: { TOOLWEAVER_AUTH: 'none' } });
    url = `${server.url}/mcp`;
  });
  it('fails in release 0.1.16 only what wants fixtures', async () => {
    const verdict = await runSuite('conformance-2025', url, expected('0.1.16.yml'));
    expect(verdict).toMatchObject({ code: 0, passed: 9 });
  });

  it.each(['2025-11-25', '2026-07-28'])('fails of what %s requires only what wants fixtures', async (revision) => {
    const args = [...required(revision), ...expected(`${revision}.yml`)];
    const verdict = await runSuite('conformance-2026', url, args);
    expect(verdict).toMatchObject({ code: 0 });
    expect(verdict.passed).toBeGreaterThan(40);
  });
});
