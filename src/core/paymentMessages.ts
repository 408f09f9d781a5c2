import type { Sql } from "../db/database.ts";
import { PAYMENT_MESSAGE_SUCCESS_REASON } from "../domain/callback.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { OrderStatus, UltimateCreditor } from "../domain/order.ts";
import type { BankRole, PublicJwk } from "../domain/participant.ts";
import {
  type PaymentMessageContent,
  type PaymentMessageRequest,
  type PaymentMessageStatus,
  type SubmissionFacts,
  submissionProblem,
} from "../domain/paymentMessage.ts";
import { followingCallbacks, insertCallbacks, type MessageSides } from "./cascade.ts";
import type { CoreContext, Traced } from "./context.ts";
import { isGuid } from "./guid.ts";
import { moveOrders } from "./orders.ts";

// ------------------------------------------------------------------------------------------------------------ submitting

/** An access token is accepted for 300 s, and 30 s into the future; after that its jti need not be remembered. */
const accessTokenMemoryMs = 330_000;

const useTokens = {
  name: "use_access_tokens",
  text: `
    insert into used_access_token (participant_guid, jti, expires_at)
    select participant, token, expiry
    from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as used(participant, token, expiry)
    order by participant, token
    on conflict do nothing
    returning participant_guid, jti`,
};

const selectCallers = {
  name: "select_callers",
  text: "select guid, bic, roles from participant where guid = any($1::uuid[]) and kind = 'bank'",
};

const lockOrders = {
  name: "lock_orders",
  text: `
    select o.guid, o.status, o.expires_at, o.merchant_guid, merchant.iban as merchant_account,
      agent.guid as creditor_agent_guid, agent.bic as creditor_agent_bic,
      coalesce(agent.encryption_jwk->>'kid', agent.signing_jwks->0->>'kid', '') as creditor_agent_kid
    from payment_order o
    join participant merchant on merchant.guid = o.merchant_guid
    join participant agent on agent.guid = merchant.servicing_bank_guid
    where o.guid = any($1::uuid[])
    order by o.guid
    for update of o`,
};

// Three index look-ups a request; one statement, so one round trip for the whole group.
const selectDuplicates = {
  name: "select_duplicates",
  text: `
    with asked as (
      select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as asked(order_guid, agent, jti, external_id)
    )
    select m.guid, m.order_guid, m.debtor_agent_guid, m.jti, m.external_id from asked
      join payment_message m on m.order_guid = asked.order_guid
    union
    select m.guid, m.order_guid, m.debtor_agent_guid, m.jti, m.external_id from asked
      join payment_message m on m.debtor_agent_guid = asked.agent and m.jti = asked.jti
    union
    select m.guid, m.order_guid, m.debtor_agent_guid, m.jti, m.external_id from asked
      join payment_message m on m.debtor_agent_guid = asked.agent and m.external_id = asked.external_id`,
};

const insertMessages = {
  name: "insert_payment_messages",
  text: `
    with evidence as (
      insert into payment_evidence
      select * from unnest($2::uuid[], $3::text[])
    )
    insert into payment_message select * from json_populate_recordset(null::payment_message, $1::json)`,
};

type CallerRow = { guid: string; bic: string; roles: BankRole[] };
type OrderFacts = {
  guid: string;
  status: OrderStatus;
  expires_at: Date;
  merchant_guid: string;
  merchant_account: string;
  creditor_agent_guid: string;
  creditor_agent_bic: string;
  creditor_agent_kid: string;
};
type DuplicateRow = { guid: string; order_guid: string; debtor_agent_guid: string; jti: string; external_id: string };

/**
 * Submits payment messages in one transaction, one answer per request in the same order. A request that is refused does
 * not touch its neighbours. Orders are locked first, so of concurrent submissions for one order exactly one wins and the
 * others hear its guid (wire-contract section 4). Retry-safe: a repeat is refused with the guid of the first.
 */
export async function submitPaymentMessages(
  context: CoreContext,
  requests: readonly Submission[],
): Promise<({ guid: string } | Refusal)[]> {
  const now = context.clock();
  const { answers, due } = await context.db.transaction(async (sql) => {
    const known = await readFacts(sql, requests);
    const decided = requests.map((request) => decide(context, request, known, now));
    const accepted = decided.flatMap((decision) => ("row" in decision ? [decision] : []));
    return {
      answers: decided.map((decision) => ("row" in decision ? { guid: decision.row.guid } : decision.refusal)),
      due: await storeAccepted(context, sql, accepted),
    };
  });
  context.onCallbacksDue(due);
  return answers;
}

type KnownFacts = {
  callers: Map<string, CallerRow>;
  freshTokens: Set<string>;
  orders: Map<string, OrderFacts>;
  byOrder: Map<string, string>;
  byJti: Map<string, string>;
  byExternalId: Map<string, string>;
};

const keyOf = (agentGuid: string, id: string) => `${agentGuid} ${id}`;

async function readFacts(sql: Sql, requests: readonly PaymentMessageRequest[]): Promise<KnownFacts> {
  const tokens = requests.flatMap(({ callerGuid, accessToken }) => (accessToken ? [{ callerGuid, accessToken }] : []));
  const fresh = await sql<{ participant_guid: string; jti: string }>(useTokens, [
    tokens.map((token) => token.callerGuid),
    tokens.map((token) => token.accessToken.jti),
    tokens.map((token) => new Date(token.accessToken.issuedAt.getTime() + accessTokenMemoryMs)),
  ]);
  const asked = requests.filter((request) => isGuid(request.orderGuid));
  const orders = await sql<OrderFacts>(lockOrders, [asked.map((request) => request.orderGuid)]);
  const callers = await sql<CallerRow>(selectCallers, [[...new Set(requests.map((request) => request.callerGuid))]]);
  const duplicates = await sql<DuplicateRow>(selectDuplicates, [
    requests.map((request) => (isGuid(request.orderGuid) ? request.orderGuid : null)),
    requests.map((request) => request.callerGuid),
    requests.map((request) => request.jti),
    requests.map((request) => request.externalId),
  ]);
  return {
    callers: new Map(callers.map((row) => [row.guid, row])),
    freshTokens: new Set(fresh.map((row) => keyOf(row.participant_guid, row.jti))),
    orders: new Map(orders.map((row) => [row.guid, row])),
    byOrder: new Map(duplicates.map((row) => [row.order_guid, row.guid])),
    byJti: new Map(duplicates.map((row) => [keyOf(row.debtor_agent_guid, row.jti), row.guid])),
    byExternalId: new Map(duplicates.map((row) => [keyOf(row.debtor_agent_guid, row.external_id), row.guid])),
  };
}

type MessageJson = ReturnType<typeof messageJson>;
type Submission = PaymentMessageRequest & Traced;
type Accepted = { row: MessageJson; request: Submission };

/** Decides one request and, when it is accepted, adds it to what is known, so that the next of the group meets it. */
function decide(
  context: CoreContext,
  request: Submission,
  known: KnownFacts,
  now: Date,
): Accepted | { refusal: Refusal } {
  const { callerGuid, accessToken } = request;
  const order = known.orders.get(request.orderGuid.toLowerCase());
  const caller = known.callers.get(callerGuid);
  const facts: SubmissionFacts = {
    caller: caller && { bic: caller.bic, isInitiator: caller.roles.includes("initiator") },
    // The first of two equal tokens in one group takes it away from the second.
    tokenReplayed: accessToken !== null && !known.freshTokens.delete(keyOf(callerGuid, accessToken.jti)),
    order: order && {
      status: order.status,
      expiresAt: order.expires_at,
      merchantAccount: order.merchant_account,
      creditorAgentBic: order.creditor_agent_bic,
    },
    existing: {
      byOrder: known.byOrder.get(request.orderGuid.toLowerCase()),
      byJti: known.byJti.get(keyOf(callerGuid, request.jti)),
      byExternalId: known.byExternalId.get(keyOf(callerGuid, request.externalId)),
    },
  };
  const refusal = submissionProblem(request, facts, now, context.supportedCurrencies);
  if (refusal !== undefined) return { refusal };
  if (order === undefined) throw new Error("a payment message was accepted without an order");
  const row = messageJson(context.newGuid(), request, order, now);
  known.byOrder.set(order.guid, row.guid);
  known.byJti.set(keyOf(callerGuid, request.jti), row.guid);
  known.byExternalId.set(keyOf(callerGuid, request.externalId), row.guid);
  return { row, request };
}

function messageJson(guid: string, request: PaymentMessageRequest, order: OrderFacts, receivedAt: Date) {
  return {
    guid,
    order_guid: order.guid,
    merchant_guid: order.merchant_guid,
    debtor_agent_guid: request.callerGuid,
    creditor_agent_guid: order.creditor_agent_guid,
    jti: request.jti,
    external_id: request.externalId,
    amount_minor: request.amountMinor,
    currency: request.currency,
    debtor_name: request.debtorName,
    debtor_tax_number: request.debtorTaxNumber,
    debtor_account: request.debtorAccount,
    creditor_name: request.creditorName,
    creditor_tax_number: request.creditorTaxNumber,
    creditor_account: request.creditorAccount,
    purpose: request.purpose,
    msg_creation_date: request.msgCreationDate,
    msg_creation_time: request.msgCreationTime,
    pm_type: request.pmType,
    sender_account_type: request.senderAccountType,
    nonce: request.nonce,
    encrypted_key: request.encryptedKey,
    creditor_agent_kid: order.creditor_agent_kid,
    status: "pending",
    reason: "",
    received_at: receivedAt,
  };
}

async function storeAccepted(context: CoreContext, sql: Sql, accepted: readonly Accepted[]) {
  if (accepted.length === 0) return [];
  const rows = accepted.map(({ row }) => row);
  await sql(insertMessages, [
    JSON.stringify(rows),
    rows.map((row) => row.guid),
    accepted.map(({ request }) => request.jws),
  ]);
  await moveOrders(
    sql,
    "payment_message_accepted",
    rows.map((row) => row.order_guid),
  );
  const callbacks = accepted.flatMap(({ row, request }) =>
    followingCallbacks("submit", row satisfies MessageSides, request.trace),
  );
  return insertCallbacks(context, sql, callbacks);
}

// --------------------------------------------------------------------------------------------------------------- reading

/** A payment message with the names of its sides, as answers, callbacks and registers show it. */
export type PaymentMessage = PaymentMessageContent & {
  guid: string;
  debtorAgent: { guid: string; name: string; bic: string };
  creditorAgent: { guid: string; name: string; bic: string };
  merchantGuid: string;
  creditorUid: string;
  ultimateCreditor: UltimateCreditor | null;
  /** The recipient bank's key when the message was submitted. */
  creditorAgentJwk: PublicJwk | null;
  status: PaymentMessageStatus;
  reason: string;
  receivedAt: Date;
  feeMinor: number;
};

/** The columns and joins of `PaymentMessageRow`, for every statement that reads whole messages. */
export const messageColumns = `
  m.guid, m.order_guid, m.merchant_guid, m.debtor_agent_guid, m.creditor_agent_guid, m.jti, m.external_id,
  m.amount_minor, m.currency, m.debtor_name, m.debtor_tax_number, m.debtor_account, m.creditor_name,
  m.creditor_tax_number, m.creditor_account, m.purpose, m.msg_creation_date, m.msg_creation_time, m.pm_type,
  m.sender_account_type, m.nonce, m.encrypted_key, m.creditor_agent_kid, m.status, m.reason, m.received_at,
  coalesce(m.fee_minor, 0) as fee_minor, o.ultimate_creditor, merchant.uid as creditor_uid,
  debtor_agent.name as debtor_agent_name, debtor_agent.bic as debtor_agent_bic,
  creditor_agent.name as creditor_agent_name, creditor_agent.bic as creditor_agent_bic,
  -- The look through every key is only for messages that are older than the bank's last change of keys.
  case m.creditor_agent_kid
    when creditor_agent.encryption_jwk->>'kid' then creditor_agent.encryption_jwk
    when creditor_agent.signing_jwks->0->>'kid' then creditor_agent.signing_jwks->0
    else (select key from jsonb_array_elements(creditor_agent.signing_jwks || creditor_agent.past_jwks) as key
      where key->>'kid' = m.creditor_agent_kid limit 1)
  end as creditor_agent_jwk`;

export const messageJoins = `
  join payment_order o on o.guid = m.order_guid
  join participant merchant on merchant.guid = m.merchant_guid
  join participant debtor_agent on debtor_agent.guid = m.debtor_agent_guid
  join participant creditor_agent on creditor_agent.guid = m.creditor_agent_guid`;

export type PaymentMessageRow = MessageJson & {
  ultimate_creditor: UltimateCreditor | null;
  creditor_uid: string;
  debtor_agent_name: string;
  debtor_agent_bic: string;
  creditor_agent_name: string;
  creditor_agent_bic: string;
  creditor_agent_jwk: PublicJwk | null;
  status: PaymentMessageStatus;
  fee_minor: number;
};

export function toPaymentMessage(row: PaymentMessageRow): PaymentMessage {
  return {
    guid: row.guid,
    jti: row.jti,
    externalId: row.external_id,
    amountMinor: row.amount_minor,
    currency: row.currency,
    debtorAgent: { guid: row.debtor_agent_guid, name: row.debtor_agent_name, bic: row.debtor_agent_bic },
    debtorName: row.debtor_name,
    debtorTaxNumber: row.debtor_tax_number,
    debtorAccount: row.debtor_account,
    creditorAgent: { guid: row.creditor_agent_guid, name: row.creditor_agent_name, bic: row.creditor_agent_bic },
    creditorName: row.creditor_name,
    creditorTaxNumber: row.creditor_tax_number,
    creditorAccount: row.creditor_account,
    creditorUid: row.creditor_uid,
    merchantGuid: row.merchant_guid,
    ultimateCreditor: row.ultimate_creditor,
    creditorAgentJwk: row.creditor_agent_jwk,
    orderGuid: row.order_guid,
    purpose: row.purpose,
    msgCreationDate: row.msg_creation_date,
    msgCreationTime: row.msg_creation_time,
    pmType: row.pm_type,
    senderAccountType: row.sender_account_type,
    nonce: row.nonce,
    encryptedKey: row.encrypted_key,
    status: row.status,
    reason: row.status === "success" ? PAYMENT_MESSAGE_SUCCESS_REASON : row.reason,
    receivedAt: row.received_at,
    feeMinor: row.fee_minor,
  };
}

const selectMessageByGuid = {
  name: "select_payment_message",
  text: `select ${messageColumns} from payment_message m ${messageJoins} where m.guid = $1`,
};

const selectMessageByOrder = {
  name: "select_payment_message_by_order",
  text: `select ${messageColumns} from payment_message m ${messageJoins} where m.order_guid = $1`,
};

/** Finds a payment message by one of its two keys, whoever asks. */
export async function findPaymentMessage(
  context: CoreContext,
  by: { guid: string } | { orderGuid: string },
): Promise<PaymentMessage | undefined> {
  const [statement, value] =
    "guid" in by ? ([selectMessageByGuid, by.guid] as const) : ([selectMessageByOrder, by.orderGuid] as const);
  if (!isGuid(value)) return undefined;
  const [row] = await context.db.sql<PaymentMessageRow>(statement, [value]);
  return row && toPaymentMessage(row);
}

/** Reads a payment message for one of its two banks; anybody else learns nothing, not even that it exists. */
export async function getPaymentMessage(
  context: CoreContext,
  callerGuid: string,
  by: { guid: string } | { orderGuid: string },
): Promise<PaymentMessage | Refusal> {
  const message = await findPaymentMessage(context, by);
  const isSide = message?.debtorAgent.guid === callerGuid || message?.creditorAgent.guid === callerGuid;
  if (message === undefined || !isSide) return refuse("PAYMENT_MESSAGE_NOT_FOUND", "not found");
  return message;
}

const forgetTokens = {
  name: "forget_access_tokens",
  text: `
    delete from used_access_token where ctid = any(array(
      select ctid from used_access_token where expires_at < now() limit $1))`,
};

/** Forgets at most `limit` access tokens that are too old to be accepted anyway. */
export async function forgetAccessTokens(context: CoreContext, limit: number): Promise<void> {
  await context.db.sql(forgetTokens, [limit]);
}
