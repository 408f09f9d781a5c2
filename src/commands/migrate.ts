import { WrongCall } from "../commandLine.ts";
import { configOf } from "./configuration.ts";

export async function migrateOnly(): Promise<number> {
  const { databaseUrl } = configOf([]);
  if (databaseUrl === undefined) {
    throw new WrongCall("DATABASE_URL is missing; the embedded PostgreSQL is brought up to date at every start");
  }
  const { migrate } = await import("../db/database.ts");
  await migrate(databaseUrl);
  console.log("The schema is up to date.");
  return 0;
}
