import type { Sql, Statement } from "../../src/db/pool.ts";

export type PlanNode = {
  "Node Type": string;
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Join Filter"?: number;
  Plans?: PlanNode[];
};

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

/** Rows that the node looked at, whether or not it kept them. */
export const touchedBy = (node: PlanNode) =>
  (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Join Filter"] ?? 0)) *
  node["Actual Loops"];

/** Runs a statement for its plan alone and undoes it. */
export async function planOf(sql: Sql, statement: Statement, values: readonly unknown[]): Promise<PlanNode[]> {
  const rows = await sql<{ "QUERY PLAN": [{ Plan: PlanNode }] }>(
    { name: "", text: `explain (analyze, format json, timing off) ${statement.text}` },
    values,
  );
  return rows.flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan));
}

/** As `planOf`, with the plan for any values that PostgreSQL keeps for a statement that is run often. */
export async function genericPlanOf(sql: Sql, { text }: Statement, values: readonly unknown[]): Promise<PlanNode[]> {
  const run = (command: string) => sql<{ "QUERY PLAN": [{ Plan: PlanNode }] }>({ name: "", text: command });
  await run("set local plan_cache_mode = force_generic_plan");
  await run(`prepare explained as ${text}`);
  const literals = values.map((value) => `'${value}'`);
  const rows = await run(`explain (analyze, format json, timing off) execute explained (${literals.join(", ")})`);
  await run("deallocate explained");
  return rows.flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan));
}
