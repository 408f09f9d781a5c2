import pg from "pg";
import type { CoreContext } from "../../src/core/context.ts";
import { claimCallbacks } from "../../src/core/delivery.ts";
import { takeOverdueCallbacks } from "../../src/core/relay.ts";
import type { Sql } from "../../src/db/pool.ts";
import { defaultRetryPolicy } from "../../src/domain/callback.ts";

type Run = { text: string; values: readonly unknown[] };

/** Prints the plans of the two statements that must not care how much is waiting: the relay's look and the claim. */
export async function explainQueries(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const due = await client.query(
      "select guid, series, attempts, receiver_guid from callback where state = 'waiting' order by wake_at limit 100",
    );
    const tickets = due.rows.map((row) => ({
      callbackGuid: row.guid as string,
      series: row.series as number,
      attempt: row.attempts as number,
      receiverGuid: row.receiver_guid as string,
    }));
    const relay = await statementOf((context) => takeOverdueCallbacks(context, 500));
    const claim = await statementOf((context) => claimCallbacks(context, tickets));
    await explain(client, "The relay's look for 500 overdue callbacks", relay);
    await explain(client, "The claim of 100 callbacks", claim);
  } finally {
    await client.end();
  }
}

/** The first statement that a use-case runs, taken from a database that only listens. */
async function statementOf(useCase: (context: CoreContext) => Promise<unknown>): Promise<Run> {
  const runs: Run[] = [];
  const hot: Sql = async (statement, values = []) => {
    runs.push({ text: statement.text, values });
    return [];
  };
  await useCase({ db: { hot }, retryPolicy: defaultRetryPolicy, republishAfterMs: 30_000 } as unknown as CoreContext);
  return runs[0] as Run;
}

async function explain(client: pg.Client, title: string, { text, values }: Run): Promise<void> {
  await client.query("begin");
  const plan = await client.query(`explain (analyze, buffers, costs off, summary off) ${text}`, [...values]);
  await client.query("rollback");
  console.log(`\n${title}`);
  for (const row of plan.rows) console.log(`  ${row["QUERY PLAN"]}`);
}
