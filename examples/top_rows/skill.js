export default async function run({ text, column, top = 3 }) {
  const [header, ...lines] = text.trim().split(/\r?\n/);
  const names = header.split(',');
  const at = names.indexOf(column);
  if (at < 0) throw new Error(`no column ${column}; there are ${names.join(', ')}`);
  const rows = lines.map((line) => line.split(','));
  rows.sort((a, b) => Number(b[at]) - Number(a[at]));
  return { rows: rows.slice(0, top).map((row) => Object.fromEntries(names.map((name, i) => [name, row[i] ?? '']))) };
}
