/** What holds of the whole database at any moment, whatever happened before: each query finds the rows that break a rule. */

import { defaultRetryPolicy } from "../../src/domain/callback.ts";

export type Rows = <Row = Record<string, unknown>>(text: string, ...values: unknown[]) => Promise<Row[]>;

type Rule = { rule: string; broken: string };

const has = (kind: string) =>
  `exists (select from callback k where k.payment_message_guid = m.guid and k.kind = '${kind}')`;

/** In time: an acceptance that was recorded after its attempt had been counted as lost stands in the history and decides nothing. */
const accepted = (kind: string) =>
  `exists (select from callback k where k.payment_message_guid = m.guid and k.kind = '${kind}' and k.state = 'delivered')`;

const rules: readonly Rule[] = [
  {
    rule: "no series of attempts is longer than the policy allows",
    broken: `
      select guid, kind, attempts from callback where attempts > ${defaultRetryPolicy.maxAttempts}
      union all
      select callback_guid, 'series ' || series, count(*) from callback_attempt
      group by 1, 2 having count(*) > ${defaultRetryPolicy.maxAttempts}`,
  },
  {
    rule: "an attempt is counted in its callback before it is made",
    broken: `
      select a.callback_guid, a.series, a.attempt, c.attempts from callback_attempt a
      left join callback c on c.guid = a.callback_guid
      where c.guid is null or a.series > c.series or (a.series = c.series and a.attempt > c.attempts)`,
  },
  {
    rule: "the order and its payment message tell the same story",
    broken: `
      select o.guid, o.status, m.status as message from payment_order o
      left join payment_message m on m.order_guid = o.guid
      where case m.status
        when 'pending' then o.status <> 'in_progress'
        when 'success' then o.status <> 'success'
        when 'reject' then o.status <> 'canceled'
        else o.status not in ('created', 'canceled')
      end`,
  },
  {
    rule: "a message has its result and the instant of it together",
    broken: "select guid, status from payment_message where (status = 'pending') <> (decided_at is null)",
  },
  {
    rule: "every message has its first callback",
    broken: `select m.guid from payment_message m where not ${has("pay_in_bank")}`,
  },
  {
    rule: "the merchant hears of a payment only after the recipient bank accepted it",
    broken: `select m.guid from payment_message m where ${has("pay_in_merchant")} and not ${accepted("pay_in_bank")}`,
  },
  {
    rule: "a message succeeds exactly when the merchant accepted it",
    broken: `select m.guid, m.status from payment_message m where (m.status = 'success') <> ${accepted("pay_in_merchant")}`,
  },
  {
    rule: "Pay-out exists exactly when there is a result",
    broken: `select m.guid, m.status from payment_message m where (m.status <> 'pending') <> ${has("pay_out")}`,
  },
  {
    rule: "Credit exists exactly for successful messages",
    broken: `select m.guid, m.status from payment_message m where (m.status = 'success') <> ${has("credit")}`,
  },
  {
    rule: "the recipient bank is told of a reject exactly when it may have booked: its own refusal was not the reason",
    broken: `
      select m.guid, m.status from payment_message m
      where (m.status = 'reject' and not exists (
          select from callback k where k.payment_message_guid = m.guid and k.kind = 'pay_in_bank' and k.last_outcome = 'refused'
        )) <> ${has("pay_in_bank_reject")}`,
  },
  {
    rule: "the merchant is told of a reject exactly when its own refusal was not the reason",
    broken: `
      select m.guid, m.status from payment_message m
      where (m.status = 'reject' and not exists (
          select from callback k where k.payment_message_guid = m.guid and k.kind = 'pay_in_merchant' and k.last_outcome = 'refused'
        )) <> ${has("pay_in_merchant_reject")}`,
  },
  {
    rule: "an order that nobody paid, and that its merchant did not cancel, is canceled exactly when its Expiration exists",
    broken: `
      select o.guid, o.status from payment_order o
      where (o.status = 'canceled' and o.cancel_jws is null
          and not exists (select from payment_message m where m.order_guid = o.guid))
        <> exists (select from callback k where k.order_guid = o.guid and k.kind = 'expiration')`,
  },
  {
    rule: "a delivered callback was accepted by its last attempt",
    broken: `
      select c.guid, c.kind, c.last_outcome from callback c
      where c.state = 'delivered' and (c.last_outcome <> 'accepted' or not exists (
        select from callback_attempt a
        where a.callback_guid = c.guid and a.series = c.series and a.attempt = c.attempts and a.outcome = 'accepted'))`,
  },
  {
    rule: "nothing was put aside as our own fault",
    broken: "select guid, kind, resolution_note from callback where state = 'dead'",
  },
  {
    rule: "only successful messages are in registers, and the totals are theirs",
    broken: `
      select r.id from settlement_register r
      left join payment_message m on m.register_id = r.id
      group by r.id, r.total_amount_minor, r.payment_count
      having count(m.guid) <> r.payment_count or coalesce(sum(m.amount_minor), 0) <> r.total_amount_minor
        or bool_or(m.status <> 'success')`,
  },
];

export type BrokenRule = { rule: string; rows: Record<string, unknown>[] };

/** The rules that some row breaks; an empty list is what a test wants to see. */
export async function brokenRules(rows: Rows): Promise<BrokenRule[]> {
  const found: BrokenRule[] = [];
  for (const { rule, broken } of rules) {
    const breaking = await rows(broken);
    if (breaking.length > 0) found.push({ rule, rows: breaking.slice(0, 3) });
  }
  return found;
}

/** Callbacks that somebody still has to deliver. */
export function unfinished(rows: Rows): Promise<Record<string, unknown>[]> {
  return rows("select guid, kind, state, attempts, last_outcome from callback where state in ('waiting', 'in_flight')");
}
