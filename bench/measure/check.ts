import { remoteTransport } from "../../src/rpc/clients.ts";
import { kyivTime } from "../../src/sandbox/samples.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { type Bench, say } from "../bench.ts";
import type { Gateway } from "../gateway.ts";
import { query } from "../services.ts";
import { CALLBACKS_A_PAYMENT } from "./cascade.ts";

type Findings = { lost: number; undelivered: number; unregistered: number; discrepancies: number; payments: number };

/**
 * What was accepted must have happened: every accepted payment is a success, its four callbacks are delivered, and it
 * is in exactly one register whose totals are the sum of its payments. Answers what is wrong, in sentences.
 */
export async function checkResults(bench: Bench, databaseUrl: string, gateway: Gateway): Promise<string[]> {
  const accepted = bench.accepted.get(databaseUrl) ?? [];
  const transport = remoteTransport(gateway.rpcUrl, gateway.operatorToken);
  const { settlements } = createClients(transport);
  // Payments around midnight in Kyiv belong to two days.
  const now = Date.now();
  for (const day of new Set([now - 3_600_000, now].map((at) => kyivTime(new Date(at)).date))) {
    await settlements.closeRegisters({ day, allowOpenDay: true }, { timeoutMs: 120_000 });
  }
  transport.close();
  const [found] = await query<Findings>(databaseUrl, findingsText, [accepted, CALLBACKS_A_PAYMENT]);
  if (found === undefined) throw new Error("the check answered nothing");
  say(`Checked ${accepted.length} accepted payments (${found.payments} stored): ${JSON.stringify(found)}`);
  const sentences: [number, string][] = [
    [found.lost, "accepted payments are not stored as a success"],
    [found.undelivered, "payments do not have exactly four delivered callbacks"],
    [found.unregistered, "payments are in no register"],
    [found.discrepancies, "registers say something else than their payments"],
  ];
  return sentences.filter(([count]) => Number(count) > 0).map(([count, sentence]) => `${count} ${sentence}`);
}

// A register is a column of the payment, so no payment can be in two of them.
const findingsText = `
  with accepted as (select unnest($1::uuid[]) as order_guid),
  counted as (
    select m.guid, count(c.guid) as callbacks, count(c.guid) filter (where c.state = 'delivered') as delivered
    from payment_message m left join callback c on c.payment_message_guid = m.guid group by m.guid
  ),
  sums as (
    select register_id, count(*) as payments, sum(amount_minor) as amount_minor from payment_message
    where register_id is not null group by register_id
  )
  select
    (select count(*)::int from payment_message) as payments,
    (select count(*)::int from accepted left join payment_message m using (order_guid)
      where m.status is distinct from 'success') as lost,
    (select count(*)::int from counted where callbacks <> $2 or delivered <> $2) as undelivered,
    (select count(*)::int from payment_message where status = 'success' and register_id is null) as unregistered,
    (select count(*)::int from settlement_register r full join sums on sums.register_id = r.id
      where coalesce(r.payment_count, 0) <> coalesce(sums.payments, 0)
        or coalesce(r.total_amount_minor, 0) <> coalesce(sums.amount_minor, 0)) as discrepancies`;
