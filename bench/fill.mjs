// Fills a home with many saved skills by one transaction on the built tables, faster than saving each.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { bin, connect, draft, save } from './lib.mjs';

const words =
  'invoice parse csv weather report convert image resize date format email send user list merge sort filter price stock table chart text summary translate detect count order'.split(
    ' ',
  );

/** A home with `count` active skills, made from one that was really saved. */
export async function fill(home, count) {
  const { client } = await connect([bin, 'serve'], { TOOLWEAVER_HOME: home });
  await save(client, draft('seed_skill'));
  await client.close();
  const db = new Database(join(home, 'toolweaver.db'));
  const version = db.prepare("select * from versions where name = 'seed_skill'").get();
  const addEntry = db.prepare(
    'insert into entries values (@tenant, @name, @key, @kind, @version, @generation, @at, @by)',
  );
  const addVersion = db.prepare(
    'insert into versions values (@tenant, @name, @version, 1, @state, @seal, @manifest, @risk, @created_at, @created_by, null)',
  );
  db.transaction(() => {
    for (let i = 0; i < count; i++) {
      const pick = (n) => words[(i * 7 + n * 13 + Math.floor(i / words.length)) % words.length];
      const name = `${pick(0)}_${pick(1)}_${i}`;
      const manifest = {
        ...JSON.parse(version.manifest),
        name,
        description: `Can ${pick(0)} the ${pick(1)} and ${pick(2)} a ${pick(3)}, variant ${i}.`,
      };
      const seal = createHash('sha256').update(canonical(manifest)).digest('hex');
      addEntry.run({
        tenant: version.tenant,
        name,
        key: name.replaceAll('_', ''),
        kind: 'skill',
        version: '1.0.0',
        generation: 2,
        at: 0,
        by: 'bench',
      });
      addVersion.run({ ...version, name, seal, manifest: canonical(manifest) });
    }
    db.prepare('update generation set value = 2').run();
  })();
  db.close();
}

function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`;
}
