import pg from "pg";
import type { CastBank } from "./cast.ts";

/** Successful payments of one Kyiv day that are in no register yet. */
export type MarketDay = {
  day: string;
  payments: number;
  /** Who pays whom: the payments go round these pairs, so that the rows of one pair lie scattered, as in a table in use. */
  pairs: readonly (readonly [debtor: CastBank, creditor: CastBank])[];
};

const CHUNK = 50_000;

/** All ordered pairs of the banks, each with itself too: payments inside one bank have registers as well. */
export const allPairs = (banks: readonly CastBank[]) =>
  banks.flatMap((debtor) => banks.map((creditor) => [debtor, creditor] as const));

/**
 * Makes payment messages by set-based SQL as the gateway leaves them once they are a success, spread over the day. Orders,
 * evidence and callbacks are left out: settlement reads none of them.
 */
export async function insertMarketDay(url: string, { day, payments, pairs }: MarketDay): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // What is not measured need not wait for the disk.
    await client.query("set synchronous_commit = off");
    await client.query(
      "create temp table pair as select row_number() over () - 1 as place, given.* from json_to_recordset($1::json) " +
        "as given(debtor uuid, debtor_iban text, creditor uuid, creditor_iban text, kid text)",
      [JSON.stringify(pairs.map(([debtor, creditor]) => rowOf(debtor, creditor)))],
    );
    for (let first = 1; first <= payments; first += CHUNK) {
      const last = Math.min(first + CHUNK - 1, payments);
      await client.query(chunkText, [first, last, pairs.length, day, payments]);
    }
    // Rates that changed long ago and in the middle of the day: what a payment costs has to be looked for.
    await client.query(ratesText, [day]);
    // As a database in use is.
    await client.query("vacuum analyze");
    await client.query("checkpoint");
  } finally {
    await client.end();
  }
}

const rowOf = (debtor: CastBank, creditor: CastBank) => ({
  debtor: debtor.guid,
  debtor_iban: debtor.iban,
  creditor: creditor.guid,
  creditor_iban: creditor.iban,
  kid: creditor.publicJwk.kid,
});

const chunkText = `
  insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti, external_id,
    amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name, creditor_tax_number,
    creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type, sender_account_type, nonce, encrypted_key,
    creditor_agent_kid, status, reason, received_at, decided_at)
  select uuidv7(), uuidv7(), pair.creditor, pair.debtor, pair.creditor, gen_random_uuid()::text, gen_random_uuid()::text,
    2100 + n % 1000, 'UAH', 'b64+encrypted+name+b64+encrypted+name', 'b64+encrypted+id+b64', pair.debtor_iban,
    'b64+encrypted+name', 'b64+id', pair.creditor_iban, 'Payment for order market-' || n, $4::text, '12:00:00', 'trade',
    'limit-related', 'bm9uY2Vub25jZTEy', repeat('K', 344), pair.kid, 'success', '', decided_at - interval '1 second',
    decided_at
  from (
    -- In the order of the numbers, whatever the plan of the join: it decides where the rows lie.
    select numbered.n, pair.* from generate_series($1::int, $2::int) as numbered(n)
    join pair on pair.place = numbered.n % $3::int order by numbered.n
  ) pair
  cross join lateral (
    select $4::timestamp at time zone 'Europe/Kyiv' + n * interval '23 hours' / $5::int as decided_at
  ) spread`;

const ratesText = `
  insert into fee_rate (bank_guid, effective_from, basis_points)
  select guid, rate.since, rate.basis_points
  from participant, (values ('2020-01-01'::timestamptz, 25),
    (($1::timestamp + interval '12 hours') at time zone 'Europe/Kyiv', 30)) as rate(since, basis_points)
  where kind = 'bank'
  on conflict do nothing`;
