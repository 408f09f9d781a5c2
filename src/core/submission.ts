import { insertedColumns, jsonRow, type Row } from "../db/entities/entities.ts";
import type { Refusal } from "../domain/errors.ts";
import { orderTransitions } from "../domain/order.ts";
import { type SubmissionFacts, submissionProblem } from "../domain/paymentMessage.ts";
import { type PartyToken, rememberedUntil } from "./accessTokens.ts";
import { firstTickets, followingCallbacks, type Inserted, insertFollowingText } from "./cascade.ts";
import type { CoreContext, DueCallback, Traced } from "./context.ts";
import { PartyChanged } from "./identity/partyChanged.ts";
import type { SubmittedMessage } from "./paymentMessages.ts";
import {
  encryptionKeyFor,
  type KeyRow,
  type KnownFacts,
  keyOf,
  type OrderFacts,
  readFacts,
} from "./submissionFacts.ts";

const messageColumnNames = insertedColumns("payment_message").join(", ");

// If anything has changed since the facts were read, this statement fails as a whole (a lost race) and the group is decided again:
// tokens, orders and identifiers are unique; an order that is no longer open (it expired), or a participant that was changed (its
// key may have been withdrawn, or it was suspended), fails it, too. Orders are locked in a fixed order, so that two groups with the
// same orders wait for each other and do not deadlock. Columns are named, because a newer node may have added one that this node
// does not know.
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

/**
 * Submits payment messages: reads the facts, decides, and stores what was accepted in one statement, so one transaction; one answer
 * per request in the same order. A refused request does not affect its neighbours. Of concurrent submissions for one order exactly
 * one wins: the others fail to store, are decided again (`batch.ts`) and refused with the guid of the winner (wire-contract section
 * 4). Retry-safe: a repeat is refused with the guid of the first.
 */
export async function submitPaymentMessages(
  context: CoreContext,
  requests: readonly Submission[],
): Promise<({ guid: string } | Refusal | PartyChanged)[]> {
  const known = await readFacts(context.db.hot, requests);
  const decided = requests.map((request) => decide(context, request, known));
  const accepted = decided.flatMap((decision) => ("row" in decision ? [decision] : []));
  if (accepted.length > 0) {
    context.onCallbacksDue(await store(context, accepted, known.newTokens));
    context.onOrdersChanged(accepted.map(({ order }) => ({ orderGuid: order.guid, state: "processing" })));
  }
  return decided.map((decision) => ("row" in decision ? { guid: decision.row.guid } : decision.refused));
}

/** Adds the token of an accepted request to the group's new tokens; once, in case two messages of the group have the same one. */
function useToken(known: KnownFacts, { callerGuid, accessToken }: SubmittedMessage): void {
  const key = keyOf(callerGuid, accessToken.jti);
  if (known.usedTokens.has(key)) return;
  known.usedTokens.set(key, accessToken.requestDigest);
  known.newTokens.push({ participantGuid: callerGuid, ...accessToken });
}

type Submission = SubmittedMessage & Traced;
type Accepted = { row: Row<"payment_message">; request: Submission; order: OrderFacts };

type Refused = { refused: Refusal | PartyChanged };

/** Decides one request. An accepted one is added to the facts, so that the later ones of the group are judged with it. */
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
      creditorStatuses: { merchant: order.merchant_status, creditorAgent: order.creditor_agent_status },
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

/** The bytes of an RSA modulus in a JWK. Old keys may have leading zeros, which do not count. */
function modulusBytes(base64url: string): number {
  const bytes = Buffer.from(base64url, "base64url");
  const leading = bytes.findIndex((byte) => byte !== 0);
  return bytes.length - Math.max(leading, 0);
}

type PaidTo = { order: OrderFacts; key: KeyRow | undefined };

/** The row of an accepted message. Of the request only members that have a column are stored (`jsonRow`). */
function newMessage(
  guid: string,
  request: SubmittedMessage,
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
 * The participants that the decisions relied on, each once, with the version: the banks whose signatures were verified, the
 * merchants and their banks, which may be suspended meanwhile.
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
