import { afterAll, beforeAll, expect, test } from "vitest";
import { openPlatform, type Platform } from "./platform.ts";

let platform: Platform;

beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

test("entities and migrations agree: after all migrations nothing is left to change", async () => {
  expect((await platform.db.orm.schema.getUpdateSchemaSQL()).trim()).toBe("");
});
