import { insertedColumns, jsonRow, type Row } from "../db/entities/entities.ts";
import type { Sql } from "../db/pool.ts";
import type { UsedFor } from "../domain/accessToken.ts";
import type { Refusal } from "../domain/errors.ts";
import { type OrderStatus, orderTransitions } from "../domain/order.ts";
import type { BankRole, ParticipantStatus } from "../domain/participant.ts";
import { type PaymentMessageRequest, type SubmissionFacts, submissionProblem } from "../domain/paymentMessage.ts";
import { type PartyToken, rememberedUntil } from "./accessTokens.ts";
import { firstTickets, followingCallbacks, type Inserted, insertFollowingText } from "./cascade.ts";
import type { CoreContext, DueCallback, Traced } from "./context.ts";
import { isGuid } from "./guid.ts";
import { PartyChanged } from "./identity/partyChanged.ts";
import { orderEncryptionKey } from "./participantRows.ts";

// Everything that a group of submissions is judged by, as of one instant, which is the database's: a few index look-ups a
// request.
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

const messageColumnNames = insertedColumns("payment_message").join(", ");

// Whatever has changed since the facts were read makes this fail as a whole and be decided again: tokens, orders and
// identifiers are unique, and an order that is not open any more (it expired) is a lost race as well, as is a participant that was
// changed: its key may have been withdrawn, or it was suspended. Orders come first, so that of two groups with the same orders one
// waits for the other. Columns are named, because a newer node may have added one that this node does not know.
const storeStatement = {
  name: "store_submissions",
  text: `
    with used as (
      insert into used_access_token (participant_guid, jti, expires_at, request_digest)
      select * from unnest($9::uuid[], $10::text[], $11::timestamptz[], $12::bytea[]) as token(participant, jti, expiry, digest)
      order by participant, jti
    ), moved as (
      update payment_order set status = $6, updated_at = now()
      where guid = any($4::uuid[]) and status = $5 and expires_at > now()
      returning guid
    ), evidence as (
      insert into payment_evidence (payment_message_guid, jws)
      select * from unnest($2::uuid[], $3::text[])
    ), message as (
      insert into payment_message (${messageColumnNames})
      select ${messageColumnNames} from json_populate_recordset(null::payment_message, $1::json)
      where ((select count(*) from moved) = cardinality($4::uuid[]) or lost_race('an order is not open any more'))
        and (not exists (select from unnest($13::uuid[], $14::int[]) as verified(guid, version)
            where not exists (select from participant p where p.guid = verified.guid and p.version = verified.version))
          or lost_race('a participant was changed'))
      order by debtor_agent_guid, jti
      returning guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid
    )
    ${insertFollowingText("$7", "message", "cause.guid = next.payment_message_guid", "$8")}`,
};

type CallerRow = { guid: string; version: number; bic: string; roles: BankRole[] };
type OrderFacts = {
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
  /** What is encrypted for when the message does not say: the order's key. Null: the bank has none. */
  encryption_key_id: number | null;
  created_at_ms: number;
};
/** A key that may have been shown as one to encrypt for. */
type KeyRow = { id: number; participant_guid: string; kid: string; modulus: string; retire_at_ms: number | null };
type DuplicateRow = { guid: string; order_guid: string; debtor_agent_guid: string; jti: string; external_id: string };
type FactsRow = {
  judged_at: Date;
  used: { participant_guid: string; jti: string; request_digest: string | null }[] | null;
  orders: OrderFacts[] | null;
  keys: KeyRow[] | null;
  callers: CallerRow[] | null;
  duplicates: DuplicateRow[] | null;
};

/**
 * Submits payment messages: reads what they are judged by, decides, and stores what was accepted in one statement, so one
 * transaction; one answer per request in the same order. A request that is refused does not touch its neighbours. Of
 * concurrent submissions for one order exactly one wins: the others fail to store, are decided again (`batch.ts`) and
 * hear its guid (wire-contract section 4). Retry-safe: a repeat is refused with the guid of the first.
 */
export async function submitPaymentMessages(
  context: CoreContext,
  requests: readonly Submission[],
): Promise<({ guid: string } | Refusal | PartyChanged)[]> {
  const known = await readFacts(context.db.hot, requests);
  const decided = requests.map((request) => decide(context, request, known));
  const accepted = decided.flatMap((decision) => ("row" in decision ? [decision] : []));
  if (accepted.length > 0) context.onCallbacksDue(await store(context, accepted, known.newTokens));
  return decided.map((decision) => ("row" in decision ? { guid: decision.row.guid } : decision.refused));
}

type KnownFacts = {
  /** The database's clock: what is kept there (orders, tokens) is judged by it. */
  now: Date;
  callers: Map<string, CallerRow>;
  usedTokens: Map<string, Exclude<UsedFor, undefined>>;
  /** Tokens that the accepted requests of this group use up. */
  newTokens: PartyToken[];
  orders: Map<string, OrderFacts>;
  /** By their bank, the oldest first. */
  keys: Map<string, KeyRow[]>;
  byOrder: Map<string, string>;
  byJti: Map<string, string>;
  byExternalId: Map<string, string>;
};

const keyOf = (agentGuid: string, id: string) => `${agentGuid} ${id}`;

async function readFacts(sql: Sql, requests: readonly PaymentMessageRequest[]): Promise<KnownFacts> {
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

/** Uses up the token of an accepted request; once, should a translator give two messages one token and one digest. */
function useToken(known: KnownFacts, { callerGuid, accessToken }: PaymentMessageRequest): void {
  const key = keyOf(callerGuid, accessToken.jti);
  if (known.usedTokens.has(key)) return;
  known.usedTokens.set(key, accessToken.requestDigest);
  known.newTokens.push({ participantGuid: callerGuid, ...accessToken });
}

type Submission = PaymentMessageRequest & Traced;
type Accepted = { row: Row<"payment_message">; request: Submission; order: OrderFacts };

type Refused = { refused: Refusal | PartyChanged };

/** Decides one request and, when it is accepted, adds it to what is known, so that the next of the group meets it. */
function decide(context: CoreContext, request: Submission, known: KnownFacts): Accepted | Refused {
  const { callerGuid, accessToken } = request;
  const order = known.orders.get(request.orderGuid.toLowerCase());
  const caller = known.callers.get(callerGuid);
  if (caller?.version !== request.callerVersion) return { refused: new PartyChanged() };
  const key = order && encryptionKeyFor(request.encryptionKid, order, known);
  const facts: SubmissionFacts = {
    caller: { bic: caller.bic, isInitiator: caller.roles.includes("initiator") },
    tokenUsedFor: known.usedTokens.get(keyOf(callerGuid, accessToken.jti)),
    order: order && {
      status: order.status,
      expiresAt: new Date(order.expires_at_ms),
      creditorAccount: order.creditor_account,
      creditorAgentBic: order.creditor_agent_bic,
      sides: { merchant: order.merchant_status, creditorAgent: order.creditor_agent_status },
      key: key && { modulusBytes: modulusBytes(key.modulus) },
    },
    existing: {
      byOrder: known.byOrder.get(request.orderGuid.toLowerCase()),
      byJti: known.byJti.get(keyOf(callerGuid, request.jti)),
      byExternalId: known.byExternalId.get(keyOf(callerGuid, request.externalId)),
    },
  };
  const refusal = submissionProblem(request, facts, known.now, context.supportedCurrencies);
  if (refusal !== undefined) return { refused: refusal };
  if (order === undefined) throw new Error("a payment message was accepted without an order");
  const row = newMessage(context.newGuid(), request, { order, key }, known.now);
  useToken(known, request);
  known.byOrder.set(order.guid, row.guid);
  known.byJti.set(keyOf(callerGuid, request.jti), row.guid);
  known.byExternalId.set(keyOf(callerGuid, request.externalId), row.guid);
  return { row, request, order };
}

/**
 * The key that a message is encrypted for: the one of the kid that it states, of several of that kid the order's and else the
 * newest; without a statement the order's. Undefined: the bank has had no such key since the order was made.
 */
function encryptionKeyFor(stated: string | undefined, order: OrderFacts, { keys }: KnownFacts): KeyRow | undefined {
  // A neighbour in the group may have an older order at the same bank, and so older keys.
  const ofBank = (keys.get(order.creditor_agent_guid) ?? []).filter(
    ({ retire_at_ms }) => retire_at_ms === null || retire_at_ms > order.created_at_ms,
  );
  const ofOrder = ofBank.find(({ id }) => id === order.encryption_key_id);
  if (stated === undefined || stated === ofOrder?.kid) return ofOrder;
  return ofBank.findLast(({ kid }) => kid === stated);
}

/** The length of an RSA modulus as a JWK has it. A key of an early version may begin with zeros, which count for nothing. */
function modulusBytes(base64url: string): number {
  const bytes = Buffer.from(base64url, "base64url");
  const leading = bytes.findIndex((byte) => byte !== 0);
  return bytes.length - Math.max(leading, 0);
}

type PaidTo = { order: OrderFacts; key: KeyRow | undefined };

/** The row of a message when it is accepted. Of what came with it, only what has a column is stored (`jsonRow`). */
function newMessage(
  guid: string,
  request: PaymentMessageRequest,
  { order, key }: PaidTo,
  receivedAt: Date,
): Row<"payment_message"> {
  return {
    ...request,
    guid,
    orderGuid: order.guid,
    merchantGuid: order.merchant_guid,
    debtorAgentGuid: request.callerGuid,
    creditorAgentGuid: order.creditor_agent_guid,
    creditorAgentKid: key?.kid ?? "",
    creditorAgentKeyId: key?.id ?? null,
    status: "pending",
    reason: "",
    receivedAt,
    decidedAt: null,
    registerId: null,
    feeMinor: null,
  };
}

/**
 * Everybody by whom it was decided, each once, and as which version: the banks whose signatures were verified, the merchants and
 * their banks, which could be suspended.
 */
function versionsOf(accepted: readonly Accepted[]): [string[], number[]] {
  const versions = new Map<string, number>();
  for (const { request, order } of accepted) {
    versions.set(request.callerGuid, request.callerVersion);
    versions.set(order.merchant_guid, order.merchant_version);
    versions.set(order.creditor_agent_guid, order.creditor_agent_version);
  }
  return [[...versions.keys()], [...versions.values()]];
}

async function store(
  context: CoreContext,
  accepted: readonly Accepted[],
  tokens: readonly PartyToken[],
): Promise<DueCallback[]> {
  const rows = accepted.map(({ row }) => row);
  const following = accepted.flatMap(({ row, request }) =>
    followingCallbacks(context, "submit", row.guid, request.trace),
  );
  const { from, to } = orderTransitions.payment_message_accepted;
  const inserted = await context.db.hot<Inserted>(storeStatement, [
    JSON.stringify(rows.map((row) => jsonRow("payment_message", row))),
    rows.map((row) => row.guid),
    accepted.map(({ request }) => request.jws),
    rows.map((row) => row.orderGuid),
    from,
    to,
    JSON.stringify(following),
    context.republishAfterMs,
    tokens.map((token) => token.participantGuid),
    tokens.map((token) => token.jti),
    tokens.map(rememberedUntil),
    tokens.map((token) => token.requestDigest),
    ...versionsOf(accepted),
  ]);
  return firstTickets(inserted, following);
}
