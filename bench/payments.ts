import { randomUUID } from "node:crypto";
import { v7 as uuidV7 } from "uuid";
import { kyivTime, makeIban, SAMPLE_PAYER } from "../src/sandbox/samples.ts";
import type { Claims } from "../src/sdk/jws.ts";
import { signJws } from "../src/sdk/jws.ts";
import { importKeyPair } from "../src/sdk/keys.ts";
import { encryptPersonalData } from "../src/sdk/personalData.ts";
import type { Cast, CastBank, CastMerchant } from "./cast.ts";
import { query } from "./services.ts";

/** Orders to be paid; the number of an order decides who takes part and what is paid. `step`: from one number to the next. */
export type Batch = { firstNumber: number; step: number; orderGuids: string[] };

let lastNumber = 0;

export function newBatch(count: number, step = 1): Batch {
  const firstNumber = lastNumber + 1;
  lastNumber += count * step;
  return { firstNumber, step, orderGuids: Array.from({ length: count }, () => uuidV7()) };
}

const amountMinorOf = (number: number) => 2_100 + (number % 1_000);

export function sidesOf(cast: Cast, number: number) {
  const merchant = cast.merchants[number % cast.merchants.length] as CastMerchant;
  const recipient = cast.recipients.find((bank) => bank.guid === merchant.bankGuid) as CastBank;
  // Divided first, so that every initiator meets every merchant.
  const initiator = cast.initiators[Math.floor(number / cast.merchants.length) % cast.initiators.length] as CastBank;
  return { merchant, recipient, initiator };
}

/** One signed order of each merchant: the evidence of all its orders here has this content and size. */
export async function orderEvidence(cast: Cast): Promise<string[]> {
  return Promise.all(
    cast.merchants.map(async (merchant) =>
      signJws(orderClaims(merchant, "bench-0"), await importKeyPair(merchant.privateJwk)),
    ),
  );
}

/** What a merchant signs to create an order. */
export function orderClaims(merchant: CastMerchant, ref: string): Claims {
  const iat = Math.floor(Date.now() / 1000);
  const price = { amt: 21, cur: "UAH" };
  const texts = { ref, prp: `Payment for order ${ref}`, url: "https://shop.example/thanks" };
  return { sub: merchant.uid, iat, exp: iat + 86_400, ...price, ...texts };
}

/** Creates the orders of a batch as REST would leave them, in one statement: creating orders is not what is measured. */
export async function insertOrders(url: string, batch: Batch, cast: Cast, evidence: readonly string[]): Promise<void> {
  await query(
    url,
    `insert into payment_order (guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url,
       ultimate_creditor, issued_at, expires_at, status, created_at, updated_at, jws)
     select guid, ($3::uuid[])[1 + number % $4], 'bench-' || number, 2100 + number % 1000, 'UAH',
       'Payment for order bench-' || number, 'https://shop.example/thanks', null, now(), now() + interval '1 day',
       'created', now(), now(), ($5::text[])[1 + number % $4]
     from (select guid, $2::int + (ordinality::int - 1) * $6 as number
       from unnest($1::uuid[]) with ordinality as given(guid, ordinality)) numbered`,
    [
      batch.orderGuids,
      batch.firstNumber,
      cast.merchants.map(({ guid }) => guid),
      cast.merchants.length,
      evidence,
      batch.step,
    ],
  );
}

/** What the initiator encrypts for each recipient; opaque to the platform, so one of each kind stands for all. */
export type Sealed = Awaited<ReturnType<typeof seal>>;

export function seal(recipient: CastBank) {
  const people = { creditor_name: "Merchant of the bench", creditor_id: "12345678" };
  const { debtor_name, debtor_id } = SAMPLE_PAYER;
  return encryptPersonalData({ debtor_name, debtor_id, ...people }, recipient.publicJwk);
}

export function paymentClaims(cast: Cast, number: number, orderGuid: string, sealed: Sealed): Claims {
  const { merchant, recipient, initiator } = sidesOf(cast, number);
  const { date, time } = kyivTime(new Date());
  return {
    jti: randomUUID(),
    payment_message_external_id: randomUUID(),
    amount: amountMinorOf(number) / 100,
    currency: "UAH",
    debtor_agent_bic: initiator.bic,
    debtor: {
      debtor_name: sealed.fields.debtor_name,
      debtor_id: sealed.fields.debtor_id,
      debtor_account: makeIban(initiator.bic, 26_007_233_566_001n),
      debtor_phone: SAMPLE_PAYER.debtor_phone,
    },
    creditor_agent_bic: recipient.bic,
    creditor: {
      creditor_name: sealed.fields.creditor_name,
      creditor_id: sealed.fields.creditor_id,
      creditor_account: merchant.iban,
    },
    order_id: orderGuid,
    purpose: `Payment for order bench-${number}`,
    msg_creation_date: date,
    msg_creation_time: time,
    pm_type: "trade",
    sender_account_type: "limit-related",
    encryption: sealed.encryption,
  };
}
