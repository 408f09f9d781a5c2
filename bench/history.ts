import pg from "pg";
import { CREDIT_REASON, PAY_OUT_SUCCESS_REASON } from "../src/domain/callback.ts";
import type { Cast } from "./cast.ts";

/** What stands in the tables before a measurement: payments that ended well, with their callbacks. */
export type History = {
  payments: number;
  /** `delivered`: all four, long done. `due`: Pay-out and Credit of each wait to be delivered now. */
  callbacks: "delivered" | "due";
  /** Numbers up to this one are taken by an earlier call. */
  after?: number;
  /** Told after every chunk. */
  onProgress?: (payments: number) => void;
};

const CHUNK = 50_000;

const callbacksOf = {
  delivered: { kinds: "{pay_in_bank,pay_in_merchant,pay_out,credit}", state: "delivered", attempts: 1 },
  due: { kinds: "{pay_out,credit}", state: "waiting", attempts: 0 },
} as const;

/**
 * Makes payments by set-based SQL as the gateway would have left them. Only the evidence is shortened (rows of real size
 * would fill the disk and change no look-up): 640 characters instead of about 1 900.
 */
export async function insertHistory(url: string, cast: Cast, history: History): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // What is not measured need not wait for the disk.
    await client.query("set synchronous_commit = off");
    const sides = cast.merchants.map((merchant) => ({
      guid: merchant.guid,
      iban: merchant.iban,
      agent: merchant.bankGuid,
      kid: cast.recipients.find((bank) => bank.guid === merchant.bankGuid)?.publicJwk.kid,
    }));
    await client.query(
      "create temp table merchant as select row_number() over () - 1 as place, given.* from " +
        "json_to_recordset($1::json) as given(guid uuid, iban text, agent uuid, kid text)",
      [JSON.stringify(sides)],
    );
    await client.query(
      "create temp table initiator as select ordinality - 1 as place, guid from " +
        "unnest($1::uuid[]) with ordinality as given(guid, ordinality)",
      [cast.initiators.map(({ guid }) => guid)],
    );
    const { kinds, state, attempts } = callbacksOf[history.callbacks];
    const { after = 0 } = history;
    for (let first = after + 1; first <= after + history.payments; first += CHUNK) {
      const last = Math.min(first + CHUNK - 1, after + history.payments);
      await client.query(chunkText, [
        first,
        last,
        cast.merchants.length,
        cast.initiators.length,
        kinds,
        state,
        attempts,
        PAY_OUT_SUCCESS_REASON,
        CREDIT_REASON,
      ]);
      history.onProgress?.(last - after);
    }
    if (after > 0) return;
    // As a database in use is.
    await client.query("vacuum analyze");
    await client.query("checkpoint");
  } finally {
    await client.end();
  }
}

const chunkText = `
  with numbered as materialized (
    select n, uuidv7() as order_guid, uuidv7() as guid, m.guid as merchant_guid, m.iban, m.agent, m.kid,
      i.guid as debtor_guid, repeat(md5(n::text), 20) as evidence
    from generate_series($1::int, $2::int) n
    join merchant m on m.place = n % $3::int
    join initiator i on i.place = (n / $3::int) % $4::int
  ), orders as (
    insert into payment_order (guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url,
      ultimate_creditor, issued_at, expires_at, status, created_at, updated_at, jws)
    select order_guid, merchant_guid, 'history-' || n, 2100, 'UAH', 'Payment for order history-' || n,
      'https://shop.example/thanks', null, now() - interval '30 days', now() - interval '29 days', 'success',
      now() - interval '30 days', now() - interval '30 days', evidence
    from numbered
  ), messages as (
    insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti,
      external_id, amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name,
      creditor_tax_number, creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type,
      sender_account_type, nonce, encrypted_key, creditor_agent_kid, status, reason, received_at, decided_at,
      register_id, fee_minor)
    select guid, order_guid, merchant_guid, debtor_guid, agent, gen_random_uuid()::text, gen_random_uuid()::text, 2100,
      'UAH', 'b64+encrypted+name+b64+encrypted+name', 'b64+encrypted+id+b64', iban, 'b64+encrypted+name', 'b64+id',
      iban, 'Payment for order history-' || n, '2026-01-01', '12:00:00', 'trade', 'limit-related', 'bm9uY2Vub25jZTEy',
      repeat('K', 344), kid, 'success', '', now() - interval '30 days', now() - interval '30 days', 'history', 0
    from numbered
  ), proofs as (
    insert into payment_evidence (payment_message_guid, jws) select guid, evidence from numbered
  ), callbacks as materialized (
    select uuidv7() as callback_guid, kind, numbered.*,
      case kind when 'pay_out' then debtor_guid when 'pay_in_merchant' then merchant_guid else agent end as receiver
    from numbered, unnest($5::text[]) as kind
  ), attempts as (
    insert into callback_attempt (callback_guid, series, attempt, started_at, duration_ms, outcome, http_status)
    select callback_guid, 1, 1, now() - interval '30 days', 5, 'accepted', 200 from callbacks where $7::int > 0
  )
  insert into callback (guid, kind, payment_message_guid, order_guid, receiver_guid, state, reason, series, attempts,
    refusals, due_at, wake_at, last_outcome, created_at, updated_at)
  select callback_guid, kind, guid, order_guid, receiver, $6::text,
    case kind when 'pay_out' then $8::text when 'credit' then $9::text else '' end, 1, $7::int, 0, now(), now(),
    case when $7::int > 0 then 'accepted' end, now(), now()
  from callbacks`;
