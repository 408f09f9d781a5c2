import type { Rows } from "./invariants.ts";

/** Makes so many copies of one of a register's payments, as if they had been made; `remove` takes them away again. */
export async function addPayments(rows: Rows, registerId: string, more: number): Promise<{ remove(): Promise<void> }> {
  const columns = await rows<{ column_name: string }>(
    "select column_name from information_schema.columns where table_name = 'payment_message'",
  );
  const fresh: Record<string, string> = {
    guid: "gen_random_uuid()",
    order_guid: "gen_random_uuid()",
    jti: "'many-' || register_id || '-' || n",
    external_id: "'many-' || register_id || '-' || n",
  };
  const names = columns.map(({ column_name }) => column_name);
  await rows(
    `insert into payment_message (${names.join(", ")})
     select ${names.map((name) => fresh[name] ?? name).join(", ")} 
     from (select * from payment_message where register_id = $1 limit 1) one, generate_series(1, ${more}) n`,
    registerId,
  );
  const count = (by: number) =>
    rows("update settlement_register set payment_count = payment_count + $2 where id = $1", registerId, by);
  await count(more);
  return {
    async remove() {
      await count(-more);
      await rows("delete from payment_message where jti like 'many-%'");
    },
  };
}
