import { expect, test } from "vitest";
import { openDatabase } from "../../src/db/database.ts";
import { freshDatabase } from "../support/database.ts";

test("entities and migrations agree: after all migrations nothing is left to change", async () => {
  const { url, drop } = await freshDatabase();
  const db = await openDatabase({ url, maxConnections: 2 });
  try {
    expect((await db.orm.schema.getUpdateSchemaSQL()).trim()).toBe("");
  } finally {
    await db.close();
    await drop();
  }
});
