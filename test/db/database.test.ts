import { expect, test } from "vitest";
import { openDatabase } from "../../src/db/database.ts";
import { databaseFailure } from "../../src/db/failure.ts";
import { freshDatabase } from "../support/database.ts";

test("a statement that PostgreSQL refuses leaves its connection in the pool; one that ends its connection does not", async () => {
  const { url, drop } = await freshDatabase();
  const db = await openDatabase({ url, maxConnections: 2 });
  const ask = async (text: string) => (await db.sql<{ pid: number }>({ name: "", text }))[0]?.pid;
  const backend = "select pg_backend_pid() as pid";
  try {
    const pid = await ask(backend);
    for (let lost = 0; lost < 5; lost += 1) {
      const error = await ask("select lost_race('gone')").catch((problem: unknown) => problem);
      expect(databaseFailure(error)).toBe("lost_race");
    }
    expect(await ask(backend)).toBe(pid);
    await expect(ask("select pg_terminate_backend(pg_backend_pid())")).rejects.toThrow("terminating connection");
    const next = await ask(backend);
    expect(next).toBeTypeOf("number");
    expect(next).not.toBe(pid);
  } finally {
    await db.close();
    await drop();
  }
});
