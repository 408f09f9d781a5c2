import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { v7 as uuidV7 } from "uuid";
import { ACCESS_HEADER, checkAccessClaims } from "../../src/sdk/access.ts";
import { verifyJws } from "../../src/sdk/jws.ts";
import { importPublicKey, type VerificationKey } from "../../src/sdk/keys.ts";
import type { Cast } from "../cast.ts";
import { serveCommands } from "../child.ts";

// The most that intake can reach with this server and these signatures: both are checked, nothing is stored.

async function start(cast: Cast): Promise<string> {
  const keys = new Map<string, VerificationKey[]>();
  for (const bank of cast.initiators) {
    const imported = await importPublicKey(bank.publicJwk);
    if (imported.ok) keys.set(bank.guid, [imported.key]);
  }
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(express.json({ limit: "64kb" }));
  app.post("/api/v1/counterparty/:guid/payment-message", async (request, response) => {
    const bankKeys = keys.get(request.params.guid) ?? [];
    const access = await verifyJws(request.get(ACCESS_HEADER), bankKeys);
    const isFresh = access.ok && checkAccessClaims(access.claims, new Date(), []).ok;
    const message = isFresh ? await verifyJws(request.body.jwt, bankKeys) : undefined;
    if (message?.ok) response.status(201).json({ guid: uuidV7() });
    else response.status(401).json({ error: "Access credentials are invalid" });
  });
  const server = createServer({ keepAliveTimeout: 65_000 }, app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

serveCommands({ start });
