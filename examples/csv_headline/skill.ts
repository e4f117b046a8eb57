interface Summary {
  rows: number;
  columns: { name: string; type: string; min?: number; max?: number; mean?: number; most_common?: string }[];
}

export default async function run(
  input: { text: string; column: string },
  ctx: { tools: { csv_summary(input: { text: string }): Promise<Summary> } },
) {
  const summary = await ctx.tools.csv_summary({ text: input.text });
  const column = summary.columns.find((one) => one.name === input.column);
  if (!column)
    throw new Error(`no column ${input.column}; there are ${summary.columns.map((one) => one.name).join(', ')}`);
  const what =
    column.type === 'number'
      ? `runs from ${column.min} to ${column.max}, ${column.mean} on average`
      : `is most often ${column.most_common}`;
  return { headline: `In ${summary.rows} rows, ${column.name} ${what}.` };
}
