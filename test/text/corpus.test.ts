import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/contracts.ts';
import { packageRoot } from '../../src/package.ts';
import { findTwins } from '../../src/text/look-alike.ts';
import { findPoison, twinFinding } from '../../src/text/poison.ts';
import { listedBuiltins } from '../../src/tools/index.ts';

const read = (file: string): string => readFileSync(join(packageRoot, 'test/fixtures/poison', file), 'utf8');
const lines = (file: string): string[] => read(file).split('\n').filter(Boolean);

const orders = lines('orders.txt').map((text) => ({ rule: 'orders_model', text }));
const hidden = JSON.parse(read('hidden.json')) as { rule: string; text: string }[];
const credentials = (JSON.parse(read('credentials.json')) as string[][]).map((halves) => ({
  rule: 'credential',
  text: halves.join(''),
}));
const bad = [...orders, ...hidden, ...credentials];
const good = lines('good.txt');

async function judge(text: string): Promise<Finding[]> {
  const twins = await findTwins(text, listedBuiltins);
  return [...findPoison('description', text), ...twins.map(({ word, name }) => twinFinding('description', word, name))];
}

describe('of the corpus', () => {
  it('there are enough texts, each once', () => {
    const texts = [...good, ...bad.map(({ text }) => text)];
    expect(new Set(texts).size).toBe(texts.length);
    expect(bad.length).toBeGreaterThanOrEqual(60);
    expect(good.length).toBeGreaterThanOrEqual(200);
  });

  it('every bad text is found by its rule', async () => {
    const missed = [];
    for (const { rule, text } of bad)
      if (!(await judge(text)).some((finding) => finding.rule === rule)) missed.push({ rule, text });
    expect(missed).toEqual([]);
  });

  it('every bad text is found inside of a longer one', async () => {
    const around = (text: string) => `Adds up the numbers of a list. ${text} Gives the sum.`;
    const missed = [];
    for (const { rule, text } of bad)
      if (!(await judge(around(text))).some((finding) => finding.rule === rule)) missed.push({ rule, text });
    expect(missed).toEqual([]);
  });

  it('no more than two good texts need a person, and none is refused', async () => {
    const found = [];
    for (const text of good) found.push(...(await judge(text)).map(({ rule, severity }) => ({ rule, severity, text })));
    expect(found.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(found.length, JSON.stringify(found)).toBeLessThanOrEqual(2);
  });
});
