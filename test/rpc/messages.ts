import { randomBytes } from "node:crypto";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { BankRole, type Participant, type ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import type { PublicJwk } from "../../src/domain/participant.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, importPublicKey, type KeyPair, type SigningKey } from "../../src/sdk/keys.ts";
import type { CoreClients } from "../../src/wire/coreClients.ts";
import { accessTokenHeader, counterpartyHeader, requestDigestHeader } from "../../src/wire/metadata.ts";
import { iban, openPlatform, secondsFrom, serial } from "../core/platform.ts";

// Requests as a client of the RPC core writes them, and what banks and merchants sign in them.

type Fields<Schema extends DescMessage> = Exclude<MessageInitShape<Schema>, MessageShape<Schema>>;

/** A core that takes real keys only, so that signatures mean something. */
export const openPlatformOfSigners = () =>
  openPlatform({
    async publicKey(jwk) {
      const imported = await importPublicKey(jwk);
      return imported.ok ? (imported.publicJwk as PublicJwk) : { problem: imported.message };
    },
  });

/** Whoever was registered here signs with the key of its first JWK. */
const keys = new Map<string, KeyPair>();

/** A key as it is registered. */
export async function newJwk(): Promise<string> {
  const key = await generateKeyPair("RS256", `key-${serial()}`);
  keys.set(key.kid, key);
  return JSON.stringify(key.publicJwk);
}

export function keyOf({ signingJwks: [first = "{}"] }: Pick<Participant, "signingJwks">): KeyPair {
  const key = keys.get(JSON.parse(first).kid);
  if (key === undefined) throw new Error("this party has no key of this test");
  return key;
}

// ------------------------------------------------------------------------------------------------------ participants

export async function bankMessage(changes: Fields<typeof ParticipantSchema> = {}) {
  const bic = serial();
  return {
    name: `Bank ${bic}`,
    taxCode: "12345678",
    bic,
    roles: [BankRole.INITIATOR, BankRole.RECIPIENT],
    iban: iban(bic, "1"),
    callbackUrls: { base: `https://bank-${bic}.example` },
    signingJwks: changes.signingJwks ?? [await newJwk()],
    email: "bank@example.com",
    ...changes,
  } satisfies Fields<typeof ParticipantSchema>;
}

export async function merchantMessage(bank: Participant, changes: Fields<typeof ParticipantSchema> = {}) {
  const number = serial();
  return {
    name: `Merchant ${number}`,
    uid: `merchant-${number}`,
    iban: iban(bank.bic, number),
    mcc: "5411",
    servicingBankGuid: bank.guid,
    callbackUrls: { base: "https://merchant.example" },
    signingJwks: changes.signingJwks ?? [await newJwk()],
    ...changes,
  } satisfies Fields<typeof ParticipantSchema>;
}

/** A bank that pays and receives, and a merchant that it services. */
export type Sides = { bank: Participant; merchant: Participant };

export async function registerBankAndMerchant({ participants }: CoreClients): Promise<Sides> {
  const { bank } = await participants.registerBank({ bank: await bankMessage() });
  if (bank === undefined) throw new Error("nothing was registered");
  const { merchant } = await participants.registerMerchant({ merchant: await merchantMessage(bank) });
  if (merchant === undefined) throw new Error("nothing was registered");
  return { bank, merchant };
}

// --------------------------------------------------------------------------------------------------- what they sign

const unixSeconds = (fromNow: number) => secondsFrom(new Date(), fromNow).getTime() / 1000;

/** A claim that is undefined is left out. */
export function orderClaims(merchant: Participant, changes: Claims = {}): Claims {
  return {
    sub: merchant.uid,
    ref: `ref-${serial()}`,
    amt: 1500.75,
    cur: "UAH",
    prp: "Payment for the order",
    url: "https://shop.example/thanks",
    iat: unixSeconds(0),
    exp: unixSeconds(900),
    ...changes,
  };
}

export async function signedOrder(merchant: Participant, changes: Claims = {}, key: SigningKey = keyOf(merchant)) {
  return { jws: await signJws(orderClaims(merchant, changes), key) };
}

export function paymentClaims({ bank, merchant }: Sides, orderId: string, changes: Claims = {}): Claims {
  const number = serial();
  return {
    jti: `jti-${number}`,
    payment_message_external_id: `external-${number}`,
    amount: 1500.75,
    currency: "UAH",
    debtor_agent_bic: bank.bic,
    debtor: {
      debtor_name: "AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      debtor_id: "BBBBBBBBBBBBBBBBBBBBBBBBBBBB",
      debtor_account: iban(bank.bic, "77"),
      debtor_phone: "+380501234567",
    },
    creditor_agent_bic: bank.bic,
    creditor: {
      creditor_name: "CCCCCCCCCCCCCCCCCCCCCCCCCCCC",
      creditor_id: "DDDDDDDDDDDDDDDDDDDDDDDDDDDD",
      creditor_account: merchant.iban,
    },
    order_id: orderId,
    purpose: "Payment for the order",
    msg_creation_date: "2026-01-15",
    msg_creation_time: "12:30:00",
    pm_type: "trade",
    sender_account_type: "limit-related",
    encryption: { nonce: "AAAAAAAAAAAAAAAA", encrypted_key: Buffer.alloc(256, "key").toString("base64") },
    ...changes,
  };
}

/** The bank pays for an order of its own merchant. */
export async function signedPaymentMessage(
  sides: Sides,
  orderId: string,
  changes: Claims = {},
  key: SigningKey = keyOf(sides.bank),
) {
  return { jws: await signJws(paymentClaims(sides, orderId, changes), key) };
}

// --------------------------------------------------------------------------------------------------- how they call

/** What differs from a good access token for a request of its own. */
export type Shown = { key?: SigningKey; jti?: string; claims?: Claims; digest?: Uint8Array; counterparty?: string };

/** The options of a call that is for a bank: the metadata that shows it. */
export async function asBank(bank: Participant, shown: Shown = {}) {
  const { key = keyOf(bank), jti = `token-${serial()}`, claims, digest = randomBytes(32), counterparty } = shown;
  const headers: Record<string, string> = {
    [accessTokenHeader]: await createAccessToken(key, new Date(), jti, claims),
    [requestDigestHeader]: Buffer.from(digest).toString("base64url"),
    ...(counterparty !== undefined && { [counterpartyHeader]: counterparty }),
  };
  return { headers };
}

/** The same where the path of the request names the bank. */
export const onItsPath = (bank: Participant, shown: Shown = {}) => asBank(bank, { counterparty: bank.guid, ...shown });

/** The options of a call that is for a merchant. */
export const asMerchant = (merchant: Participant, { claims, ...shown }: Shown = {}) =>
  asBank(merchant, { ...shown, claims: { iss: merchant.uid, ...claims } });

export async function newOrder({ orders }: CoreClients, merchant: Participant): Promise<string> {
  const { order } = await orders.createOrder(await signedOrder(merchant));
  return order?.id ?? "";
}

/** The bank pays a new order of its merchant; answers the payment message's guid. */
export async function pays(clients: CoreClients, sides: Sides): Promise<string> {
  const message = await signedPaymentMessage(sides, await newOrder(clients, sides.merchant));
  return (await clients.paymentMessages.submitPaymentMessage(message, await asBank(sides.bank))).guid;
}
