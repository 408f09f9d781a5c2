import type { PoolClient } from "pg";
import { v7 as uuidV7 } from "uuid";
import type { Claims } from "../../src/sdk/jws.ts";

// What both peers store when a payment message comes in: the same rows as the gateway, a statement each.

/** How long the gateway remembers a used access token. */
const TOKEN_MEMORY_MS = 330_000;

export type Submission = { callerGuid: string; access: { iat: number; jti: string }; claims: Claims; jws: string };
export type Stored = { guid: string; callbackGuid: string } | { refused: string };

type OrderRow = {
  guid: string;
  merchant_guid: string;
  status: string;
  expires_at: Date;
  merchant_account: string;
  agent_guid: string;
  agent_bic: string;
  agent_kid: string;
};

/** Checks and stores one payment message inside the caller's transaction. */
export async function storeSubmission(client: PoolClient, submission: Submission): Promise<Stored> {
  const { callerGuid, access, claims } = submission;
  const used = await client.query(
    `insert into used_access_token (participant_guid, jti, expires_at) values ($1, $2, $3) on conflict do nothing`,
    [callerGuid, access.jti, new Date(access.iat * 1_000 + TOKEN_MEMORY_MS)],
  );
  if (used.rowCount === 0) return { refused: "AUTHORIZATION_FAILED" };
  const found = await client.query<OrderRow>(
    `select o.guid, o.merchant_guid, o.status, o.expires_at, merchant.iban as merchant_account,
       agent.guid as agent_guid, agent.bic as agent_bic, (select kid from participant_key k
         where k.participant_guid = agent.guid and k.retire_at is null order by k.id limit 1) as agent_kid
     from payment_order o
     join participant merchant on merchant.guid = o.merchant_guid
     join participant agent on agent.guid = merchant.servicing_bank_guid
     where o.guid = $1 for update of o`,
    [claims.order_id],
  );
  const order = found.rows[0];
  const problem = orderProblem(order, claims);
  if (order === undefined || problem !== undefined) return { refused: problem ?? "ORDER_NOT_FOUND" };
  const guid = await insertMessage(client, submission, order);
  if (guid === undefined) return { refused: "PAYMENT_MESSAGE_EXISTS" };
  await client.query("update payment_order set status = 'in_progress', updated_at = now() where guid = $1", [
    order.guid,
  ]);
  const callbackGuid = await insertCallback(client, "pay_in_bank", guid, order.guid, order.agent_guid);
  return { guid, callbackGuid };
}

function orderProblem(order: OrderRow | undefined, claims: Claims): string | undefined {
  if (order === undefined) return "ORDER_NOT_FOUND";
  if (order.expires_at < new Date() || order.status === "canceled") return "ORDER_IS_EXPIRED";
  const creditor = claims.creditor as Record<string, string>;
  const isHisBank = claims.creditor_agent_bic === order.agent_bic;
  return isHisBank && creditor.creditor_account === order.merchant_account ? undefined : "RECEIVER_NOT_FOUND";
}

async function insertMessage(client: PoolClient, submission: Submission, order: OrderRow): Promise<string | undefined> {
  const { claims } = submission;
  const debtor = claims.debtor as Record<string, string>;
  const creditor = claims.creditor as Record<string, string>;
  const encryption = claims.encryption as Record<string, string>;
  const guid = uuidV7();
  const inserted = await client.query(
    `with evidence as (
       insert into payment_evidence (payment_message_guid, jws) values ($1, $24) on conflict do nothing
     )
     insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti,
       external_id, amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name,
       creditor_tax_number, creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type,
       sender_account_type, nonce, encrypted_key, creditor_agent_kid, status, reason, received_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
       'pending', '', now())
     on conflict do nothing`,
    [
      ...[guid, order.guid, order.merchant_guid, submission.callerGuid, order.agent_guid, claims.jti],
      ...[claims.payment_message_external_id, Math.round(Number(claims.amount) * 100), claims.currency],
      ...[debtor.debtor_name, debtor.debtor_id, debtor.debtor_account],
      ...[creditor.creditor_name, creditor.creditor_id, creditor.creditor_account],
      ...[claims.purpose, claims.msg_creation_date, claims.msg_creation_time, claims.pm_type],
      ...[claims.sender_account_type, encryption.nonce, encryption.encrypted_key, order.agent_kid, submission.jws],
    ],
  );
  return inserted.rowCount === 1 ? guid : undefined;
}

export async function insertCallback(
  client: PoolClient,
  kind: string,
  messageGuid: string,
  orderGuid: string,
  receiverGuid: string,
): Promise<string> {
  const guid = uuidV7();
  await client.query(
    `insert into callback (guid, kind, payment_message_guid, order_guid, receiver_guid, state, reason, series, attempts,
       refusals, due_at, wake_at, created_at, updated_at)
     values ($1, $2, $3, $4, $5, 'waiting', '', 1, 0, 0, now(), now(), now(), now())`,
    [guid, kind, messageGuid, orderGuid, receiverGuid],
  );
  return guid;
}
