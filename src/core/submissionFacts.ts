import type { Sql } from "../db/pool.ts";
import type { UsedFor } from "../domain/accessToken.ts";
import type { OrderStatus } from "../domain/order.ts";
import type { BankRole, ParticipantStatus } from "../domain/participant.ts";
import type { PaymentMessageRequest } from "../domain/paymentMessage.ts";
import type { PartyToken } from "./accessTokens.ts";
import { isGuid } from "./guid.ts";
import { orderEncryptionKey } from "./participantRows.ts";

// Everything that a group of submissions is judged by, as of one instant of the database's clock: a few index look-ups per request.
const selectFacts = {
  name: "select_submission_facts",
  text: `
    with asked as (
      select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as asked(order_guid, agent, jti, external_id)
    ), used as (
      select u.participant_guid, u.jti, encode(u.request_digest, 'hex') as request_digest
      from unnest($2::uuid[], $5::text[]) as token(participant, jti)
      join used_access_token u on u.participant_guid = token.participant and u.jti = token.jti
    ), ordered as (
      select o.guid, o.status, extract(epoch from o.expires_at) * 1000 as expires_at_ms,
        extract(epoch from o.created_at) * 1000 as created_at_ms, o.created_at, o.merchant_guid,
        merchant.version as merchant_version, merchant.status as merchant_status,
        coalesce(o.creditor_account, merchant.iban) as creditor_account,
        agent.guid as creditor_agent_guid, agent.version as creditor_agent_version, agent.status as creditor_agent_status,
        agent.bic as creditor_agent_bic, ${orderEncryptionKey("o", "agent.guid")} as encryption_key_id
      from payment_order o
      join participant merchant on merchant.guid = o.merchant_guid
      join participant agent on agent.guid = coalesce(o.creditor_agent_guid, merchant.servicing_bank_guid)
      where o.guid = any($1::uuid[])
    ), encryption_key as (
      select distinct k.id, k.participant_guid, k.kid, k.jwk->>'n' as modulus, extract(epoch from k.retire_at) * 1000 as retire_at_ms
      from ordered join participant_key k on k.participant_guid = ordered.creditor_agent_guid
      where k.jwk->>'kty' = 'RSA' and (k.retire_at is null or k.retire_at > ordered.created_at)
    ), caller as (
      select guid, version, bic, roles from participant where guid = any($2::uuid[]) and kind = 'bank'
    ), duplicate as (
      select m.guid, m.order_guid, m.debtor_agent_guid, m.jti, m.external_id from asked
        join payment_message m on m.order_guid = asked.order_guid
      union
      select m.guid, m.order_guid, m.debtor_agent_guid, m.jti, m.external_id from asked
        join payment_message m on m.debtor_agent_guid = asked.agent and m.jti = asked.jti
      union
      select m.guid, m.order_guid, m.debtor_agent_guid, m.jti, m.external_id from asked
        join payment_message m on m.debtor_agent_guid = asked.agent and m.external_id = asked.external_id
    )
    select now() as judged_at, (select json_agg(used) from used) as used, (select json_agg(ordered) from ordered) as orders,
      (select json_agg(encryption_key order by id) from encryption_key) as keys,
      (select json_agg(caller) from caller) as callers, (select json_agg(duplicate) from duplicate) as duplicates`,
};

type CallerRow = { guid: string; version: number; bic: string; roles: BankRole[] };
export type OrderFacts = {
  guid: string;
  status: OrderStatus;
  expires_at_ms: number;
  merchant_guid: string;
  merchant_version: number;
  merchant_status: ParticipantStatus;
  creditor_account: string;
  creditor_agent_guid: string;
  creditor_agent_version: number;
  creditor_agent_status: ParticipantStatus;
  creditor_agent_bic: string;
  /** The key to encrypt for when the message names none: the order's. Null: the bank has none. */
  encryption_key_id: number | null;
  created_at_ms: number;
};
/** A key that a sender may have been shown as the one to encrypt for. */
export type KeyRow = {
  id: number;
  participant_guid: string;
  kid: string;
  modulus: string;
  retire_at_ms: number | null;
};
type DuplicateRow = { guid: string; order_guid: string; debtor_agent_guid: string; jti: string; external_id: string };
type FactsRow = {
  judged_at: Date;
  used: { participant_guid: string; jti: string; request_digest: string | null }[] | null;
  orders: OrderFacts[] | null;
  keys: KeyRow[] | null;
  callers: CallerRow[] | null;
  duplicates: DuplicateRow[] | null;
};

export type KnownFacts = {
  /** The database's clock, which orders and tokens are judged by. */
  now: Date;
  callers: Map<string, CallerRow>;
  usedTokens: Map<string, Exclude<UsedFor, undefined>>;
  /** Tokens that were used by the accepted requests of this group. */
  newTokens: PartyToken[];
  orders: Map<string, OrderFacts>;
  /** By the guid of their bank, oldest first. */
  keys: Map<string, KeyRow[]>;
  byOrder: Map<string, string>;
  byJti: Map<string, string>;
  byExternalId: Map<string, string>;
};

export const keyOf = (agentGuid: string, id: string) => `${agentGuid} ${id}`;

export async function readFacts(sql: Sql, requests: readonly PaymentMessageRequest[]): Promise<KnownFacts> {
  const [facts] = await sql<FactsRow>(selectFacts, [
    requests.map((request) => (isGuid(request.orderGuid) ? request.orderGuid : null)),
    requests.map((request) => request.callerGuid),
    requests.map((request) => request.jti),
    requests.map((request) => request.externalId),
    requests.map((request) => request.accessToken.jti),
  ]);
  if (facts === undefined) throw new Error("the database answered no facts");
  const duplicates = facts.duplicates ?? [];
  return {
    now: facts.judged_at,
    callers: new Map((facts.callers ?? []).map((row) => [row.guid, row])),
    usedTokens: new Map(
      (facts.used ?? []).map((row) => [
        keyOf(row.participant_guid, row.jti),
        row.request_digest === null ? null : Buffer.from(row.request_digest, "hex"),
      ]),
    ),
    newTokens: [],
    orders: new Map((facts.orders ?? []).map((row) => [row.guid, row])),
    keys: Map.groupBy(facts.keys ?? [], (row) => row.participant_guid),
    byOrder: new Map(duplicates.map((row) => [row.order_guid, row.guid])),
    byJti: new Map(duplicates.map((row) => [keyOf(row.debtor_agent_guid, row.jti), row.guid])),
    byExternalId: new Map(duplicates.map((row) => [keyOf(row.debtor_agent_guid, row.external_id), row.guid])),
  };
}

/**
 * The key that a message is encrypted for. With a stated kid: the key of that kid; if there are several, the order's, or else the
 * newest. Without one: the order's key. Undefined: the bank has had no such key since the order was made.
 */
export function encryptionKeyFor(
  stated: string | undefined,
  order: OrderFacts,
  { keys }: KnownFacts,
): KeyRow | undefined {
  // The map covers the whole group: an older order at the same bank may have brought in older keys.
  const ofBank = (keys.get(order.creditor_agent_guid) ?? []).filter(
    ({ retire_at_ms }) => retire_at_ms === null || retire_at_ms > order.created_at_ms,
  );
  const ofOrder = ofBank.find(({ id }) => id === order.encryption_key_id);
  if (stated === undefined || stated === ofOrder?.kid) return ofOrder;
  return ofBank.findLast(({ kid }) => kid === stated);
}
