import { randomUUID } from "node:crypto";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import type pg from "pg";
import { Agent } from "undici";
import { ACCESS_HEADER } from "../../src/sdk/access.ts";
import { CALLBACK_GUID_HEADER } from "../../src/sdk/callbacks.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { serveCommands } from "../child.ts";
import { inTransaction, openPool, type PeerOptions, startPeer } from "./server.ts";
import { insertCallback, type Stored } from "./storage.ts";

// The cascade as a Node team would write it: Express and pg for intake, graphile-worker for delivery, one job a callback.
// The same four callbacks, the same two tokens for each, the same rows at the end; jobs are added inside transactions.

type Job = { callbackGuid: string };

/** Jobs at a time in the one process; 4, 10 and a local queue of 48 were no faster here. */
const CONCURRENT_JOBS = 24;

const agent = new Agent({ connections: 16, pipelining: 1 });

const addJobSql = `select graphile_worker.add_job('deliver', json_build_object('callbackGuid', $1::text), max_attempts => 11)`;

async function start(options: PeerOptions): Promise<string> {
  const pool = openPool(options.databaseUrl);
  const utils = await makeWorkerUtils({ pgPool: pool });
  await utils.migrate();
  const key = await generateKeyPair();
  await run({
    pgPool: openPool(options.databaseUrl),
    concurrency: CONCURRENT_JOBS,
    noHandleSignals: true,
    pollInterval: 1_000,
    // A line a job would be written otherwise.
    logger: new Logger(() => () => undefined),
    taskList: { deliver: async (payload) => deliver(pool, key, (payload as Job).callbackGuid) },
  });
  return startPeer(options, pool, async (client, stored: Stored) => {
    if ("guid" in stored) await client.query(addJobSql, [stored.callbackGuid]);
  });
}

type CallbackRow = Record<string, string> & { callback_urls: Record<string, string> };

/** The URL, by the callback's kind, among those that the receiver registered. */
const urlNameOf: Record<string, string> = {
  pay_in_bank: "pay_in",
  pay_in_merchant: "pay_in",
  pay_out: "pay_out",
  credit: "credit",
};

async function deliver(pool: pg.Pool, key: KeyPair, callbackGuid: string): Promise<void> {
  const found = await pool.query<CallbackRow>(
    `select c.kind, c.receiver_guid, r.callback_urls, r.uid, m.*, o.ref, o.purpose as order_purpose,
       debtor_agent.name as debtor_agent_name, debtor_agent.bic as debtor_agent_bic,
       creditor_agent.name as creditor_agent_name, creditor_agent.bic as creditor_agent_bic
     from callback c
     join participant r on r.guid = c.receiver_guid
     join payment_message m on m.guid = c.payment_message_guid
     join payment_order o on o.guid = m.order_guid
     join participant debtor_agent on debtor_agent.guid = m.debtor_agent_guid
     join participant creditor_agent on creditor_agent.guid = m.creditor_agent_guid
     where c.guid = $1 and c.state <> 'delivered'`,
    [callbackGuid],
  );
  const row = found.rows[0];
  if (row === undefined) return;
  const startedAt = new Date();
  const status = await post(row, callbackGuid, key);
  // Throwing makes the worker try again later, as teams rely on it.
  if (status >= 300) throw new Error(`HTTP ${status}`);
  await inTransaction(pool, (client) => record(client, row, callbackGuid, startedAt, status));
}

async function post(row: CallbackRow, callbackGuid: string, key: KeyPair): Promise<number> {
  const url = new URL(row.callback_urls[urlNameOf[row.kind ?? ""] ?? ""] ?? row.callback_urls.base ?? "");
  const iat = Math.floor(Date.now() / 1000);
  const binding = { iss: "http://peer.example", aud: row.uid ?? row.receiver_guid, iat, exp: iat + 300 };
  const [access, jwt] = await Promise.all([
    signJws({ iat, jti: randomUUID() }, key),
    signJws({ ...claimsOf(row), ...binding, jti: callbackGuid }, key),
  ]);
  const answer = await agent.request({
    origin: url.origin,
    path: url.pathname,
    method: "POST",
    headers: { "Content-Type": "application/json", [ACCESS_HEADER]: access, [CALLBACK_GUID_HEADER]: callbackGuid },
    body: JSON.stringify({ jwt }),
  });
  await answer.body.dump();
  return answer.statusCode;
}

function claimsOf(row: CallbackRow) {
  const amount = Number(row.amount_minor) / 100;
  const common = { payment_message_guid: row.guid, status: "success" };
  if (row.kind === "pay_in_merchant") {
    const { order_guid, external_id, currency, purpose, creditor_account, debtor_account, ref } = row;
    const accounts = { receiver_account_iban: creditor_account, sender_account_iban: debtor_account };
    const flags = { amount_matched: true, ref_found: true, ref_number: ref };
    const ids = { order_id: order_guid, payment_message_external_id: external_id };
    return { ...common, ...ids, ...accounts, ...flags, amount, currency, purpose };
  }
  return {
    ...common,
    payment_message: {
      jti: row.jti,
      payment_message_external_id: row.external_id,
      amount,
      currency: row.currency,
      debtor_agent: { debtor_agent_name: row.debtor_agent_name, debtor_agent_bic: row.debtor_agent_bic },
      debtor: { debtor_name: row.debtor_name, debtor_id: row.debtor_tax_number, debtor_account: row.debtor_account },
      creditor_agent: { creditor_agent_name: row.creditor_agent_name, creditor_agent_bic: row.creditor_agent_bic },
      creditor: {
        creditor_name: row.creditor_name,
        creditor_id: row.creditor_tax_number,
        creditor_account: row.creditor_account,
      },
      order_id: row.order_guid,
      purpose: row.purpose,
      msg_creation_date: row.msg_creation_date,
      msg_creation_time: row.msg_creation_time,
      pm_type: row.pm_type,
      sender_account_type: row.sender_account_type,
      encryption: { nonce: row.nonce, encrypted_key: row.encrypted_key },
    },
  };
}

async function record(client: pg.PoolClient, row: CallbackRow, callbackGuid: string, startedAt: Date, status: number) {
  await client.query(
    `update callback set state = 'delivered', attempts = attempts + 1, last_outcome = 'accepted', updated_at = now()
     where guid = $1`,
    [callbackGuid],
  );
  await client.query(
    `insert into callback_attempt (callback_guid, series, attempt, started_at, duration_ms, outcome, http_status)
     values ($1, 1, 1, $2, $3, 'accepted', $4)`,
    [callbackGuid, startedAt, Date.now() - startedAt.getTime(), status],
  );
  for (const [kind, receiver] of await followers(client, row)) {
    const guid = await insertCallback(client, kind, row.guid ?? "", row.order_guid ?? "", receiver ?? "");
    await client.query(addJobSql, [guid]);
  }
}

/** The merchant hears after its bank; when it agrees, the payment succeeds and both banks hear of it. */
async function followers(client: pg.PoolClient, row: CallbackRow): Promise<(readonly [string, string | undefined])[]> {
  if (row.kind === "pay_in_bank") return [["pay_in_merchant", row.merchant_guid]];
  if (row.kind !== "pay_in_merchant") return [];
  await client.query("update payment_message set status = 'success', decided_at = now() where guid = $1", [row.guid]);
  await client.query("update payment_order set status = 'success', updated_at = now() where guid = $1", [
    row.order_guid,
  ]);
  return [
    ["pay_out", row.debtor_agent_guid],
    ["credit", row.creditor_agent_guid],
  ];
}

serveCommands({ start });
