import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate, openDatabase } from "../src/db/database.ts";
import { startEmbeddedPostgres } from "../src/db/embedded.ts";

// Writes the migration that takes the tables from what the migrations make to what the entities say, and lists it.
// npm run migration -- "Why the tables change, in a sentence."

const root = join(import.meta.dirname, "..");
const folder = join(root, "src/db/migrations");
const released = join(root, "test/db/releasedMigrations.json");

/** The statements that are missing, of a database of this run's own. */
async function missingStatements(): Promise<string[]> {
  const dataDir = await mkdtemp(join(tmpdir(), "dcm-migration-"));
  const server = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  try {
    await migrate(server.url);
    const db = await openDatabase({ url: server.url, maxConnections: 2 });
    const missing = await db.orm.schema.getUpdateSchemaSQL();
    await db.close();
    return missing
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "" && !line.startsWith("set names"));
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Migrations run in the order of their names: the day, and a number of that day. */
async function nextName(): Promise<string> {
  const today = new Date().toISOString().slice(0, 10).replaceAll("-", "");
  const names = (await migrationNames()).map((name) => Number(name.replace("Migration", "")));
  return `Migration${Math.max(Number(`${today}000000`), ...names.map((number) => number + 1))}`;
}

const migrationNames = async () =>
  (await readdir(folder))
    .filter((file) => /^Migration\d+\.ts$/.test(file))
    .map((file) => file.replace(".ts", ""))
    .sort();

/** As the formatter quotes it. */
function quoted(sql: string): string {
  if (!sql.includes('"')) return `"${sql}"`;
  return sql.includes("'") ? `\`${sql.replaceAll("`", "\\`")}\`` : `'${sql}'`;
}

function migrationText(name: string, why: string, statements: readonly string[]): string {
  const lines = statements.map((statement) => {
    const sql = quoted(statement.replace(/;$/, ""));
    // As the formatter writes it, so that the digest stays true.
    return sql.length > 103 ? `    this.addSql(\n      ${sql},\n    );` : `    this.addSql(${sql});`;
  });
  return `import { Migration } from "@mikro-orm/migrations";

/** ${why} */
export class ${name} extends Migration {
  override up(): void {
${lines.join("\n")}
  }
}
`;
}

/** The list keeps its words and gets its names anew. */
async function relist(): Promise<void> {
  const path = join(folder, "migrations.ts");
  const names = await migrationNames();
  const text = await readFile(path, "utf8");
  const imports = names.map((name) => `import { ${name} } from "./${name}.ts";\n`).join("");
  const list = names.map((name) => `  ${name},\n`).join("");
  const words = text.replace(/^(import .*\n)+/, imports);
  await writeFile(
    path,
    words.replace(/(migrationsList = \[\n)[^\]]*/, (_, start: string) => start + list),
  );
}

const [why] = process.argv.slice(2);
if (why === undefined) {
  console.error('Say why the tables change: npm run migration -- "A bank has a second address."');
  process.exit(2);
}
const statements = await missingStatements();
if (statements.length === 0) {
  console.log("The migrations make what the entities say: there is nothing to write.");
  process.exit(0);
}
const name = await nextName();
const text = migrationText(name, why, statements);
await writeFile(join(folder, `${name}.ts`), text);
await relist();
const digests = {
  ...JSON.parse(await readFile(released, "utf8")),
  [name]: createHash("sha256").update(text).digest("hex"),
};
await writeFile(released, `${JSON.stringify(digests, null, 2)}\n`);
console.log(
  `src/db/migrations/${name}.ts is written and listed; read it before it runs anywhere:\n\n${statements.join("\n")}`,
);
