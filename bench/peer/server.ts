import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import pg from "pg";
import { ACCESS_HEADER, checkAccessClaims } from "../../src/sdk/access.ts";
import { verifyJws } from "../../src/sdk/jws.ts";
import { importPublicKey, type VerificationKey } from "../../src/sdk/keys.ts";
import type { Cast } from "../cast.ts";
import { type Stored, storeSubmission } from "./storage.ts";

export type PeerOptions = { databaseUrl: string; cast: Cast };

/** As many connections as the gateway has by default. */
const CONNECTIONS = 12;

export function openPool(databaseUrl: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: CONNECTIONS });
  // At the end of a run PostgreSQL goes first; that is no error of the peer.
  const ignore = () => undefined;
  pool.on("error", ignore).on("connect", (client) => client.on("error", ignore));
  return pool;
}

/** A transaction as everybody writes it. */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

/**
 * A payment endpoint as a Node team would write it by hand: Express, both signatures checked with the same functions as
 * the gateway, one transaction a request. `afterStore` runs inside that transaction.
 */
export async function startPeer(
  { cast }: PeerOptions,
  pool: pg.Pool,
  afterStore: (client: pg.PoolClient, stored: Stored) => Promise<void>,
): Promise<string> {
  const keys = new Map<string, VerificationKey[]>();
  for (const bank of cast.initiators) {
    const imported = await importPublicKey(bank.publicJwk);
    if (imported.ok) keys.set(bank.guid, [imported.key]);
  }
  const app = express();
  app.use(express.json({ limit: "64kb" }));
  app.post("/api/v1/counterparty/:guid/payment-message", async (request, response) => {
    const callerGuid = request.params.guid;
    const bankKeys = keys.get(callerGuid) ?? [];
    const token = await verifyJws(request.get(ACCESS_HEADER), bankKeys);
    const access = token.ok ? checkAccessClaims(token.claims, new Date(), []) : undefined;
    const message = access?.ok ? await verifyJws(request.body.jwt, bankKeys) : undefined;
    if (!access?.ok || !message?.ok) {
      response.status(401).json({ error: "Access credentials are invalid" });
      return;
    }
    const submission = { callerGuid, access, claims: message.claims, jws: request.body.jwt };
    const stored = await inTransaction(pool, async (client) => {
      const answer = await storeSubmission(client, submission);
      await afterStore(client, answer);
      return answer;
    });
    if ("guid" in stored) response.status(201).json({ guid: stored.guid });
    else response.status(400).json({ error: stored.refused });
  });
  const server = createServer({ keepAliveTimeout: 65_000 }, app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
