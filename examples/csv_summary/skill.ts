interface Column {
  name: string;
  type: 'number' | 'text';
  filled: number;
  distinct: number;
  min?: number;
  max?: number;
  mean?: number;
  most_common?: string;
}

/** Reads quoted fields, doubled quotes and both kinds of line ends (RFC 4180). */
function parse(text: string, delimiter: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') field += c;
      else if (text[i + 1] === '"') field += text[++i];
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === delimiter) {
      row.push(field);
      field = '';
    } else if (c === '\n' || c === '\r') {
      if (c === '\r' && text[i + 1] === '\n') i++;
      row.push(field);
      rows.push(row);
      row = [];
      field = '';
    } else field += c;
  }
  if (field !== '' || row.length > 0) rows.push([...row, field]);
  return rows.filter((one) => one.length > 1 || one[0] !== '');
}

function summarise(name: string, values: string[]): Column {
  const filled = values.filter((value) => value.trim() !== '');
  const counts = new Map<string, number>();
  for (const value of filled) counts.set(value, (counts.get(value) ?? 0) + 1);
  const numbers = filled.map(Number);
  const base = { name, filled: filled.length, distinct: counts.size };
  if (numbers.length > 0 && numbers.every(Number.isFinite)) {
    const sum = numbers.reduce((a, b) => a + b, 0);
    return {
      ...base,
      type: 'number',
      min: numbers.reduce((a, b) => Math.min(a, b)),
      max: numbers.reduce((a, b) => Math.max(a, b)),
      mean: Math.round((sum / numbers.length) * 1000) / 1000,
    };
  }
  const [common] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return { ...base, type: 'text', ...(common && { most_common: common[0] }) };
}

export default async function run(input: { text: string; delimiter?: string }) {
  const [header = [], ...rows] = parse(input.text, input.delimiter ?? ',');
  return {
    rows: rows.length,
    columns: header.map((name, i) =>
      summarise(
        name,
        rows.map((row) => row[i] ?? ''),
      ),
    ),
  };
}
