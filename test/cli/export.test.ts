import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { draft } from '../helpers/app.ts';
import { makeHome, runCli } from '../helpers/process.ts';

describe.concurrent('export', () => {
  it('prints the tools as an API takes them, those of MCP unless told otherwise, and nothing else', async () => {
    const home = makeHome();
    writeFileSync(join(home, 'draft.json'), JSON.stringify(draft()));
    await runCli(['save', join(home, 'draft.json')], { home });
    const [mcp, openai, gemini] = await Promise.all([
      runCli(['export'], { home }),
      runCli(['export', '--format', 'openai'], { home }),
      runCli(['export', '--format', 'gemini'], { home }),
    ]);
    for (const { code, stderr } of [mcp, openai, gemini]) expect([code, stderr]).toEqual([0, '']);
    const input = draft().input_schema;
    const tools = JSON.parse(mcp.stdout);
    expect(tools).toContainEqual(expect.objectContaining({ name: 'double', inputSchema: input }));
    expect(JSON.parse(openai.stdout)).toContainEqual({
      type: 'function',
      function: { name: 'double', description: 'Doubles a number.', parameters: input },
    });
    const [{ functionDeclarations }] = JSON.parse(gemini.stdout);
    expect(functionDeclarations).toContainEqual(
      expect.objectContaining({ name: 'double', parametersJsonSchema: input }),
    );
    expect(functionDeclarations).toHaveLength(tools.length);
  });

  it('knows no other format', async () => {
    const { code, stdout, stderr } = await runCli(['export', '--format', 'yaml'], { home: makeHome() });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('mcp, openai, anthropic, gemini');
  });
});
