import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { bodyDigest } from "../../src/sdk/access.ts";
import { peekJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { bankClient } from "../../src/sdk/platform.ts";

test("bankClient: what is posted is bound by its token, byte by byte; a read binds nothing", async () => {
  const calls: { method: string | undefined; claim: unknown; body: Buffer }[] = [];
  const claimOf = (request: IncomingMessage) => {
    const peeked = peekJws(request.headers["cx-authorization"]);
    return peeked.ok ? peeked.claims.body_sha256 : peeked;
  };
  const server = createServer(async (request, response) => {
    calls.push({ method: request.method, claim: claimOf(request), body: await buffer(request) });
    response.end("{}");
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const bank = bankClient({ url, guid: "bank", key: await generateKeyPair() });
  await bank.submitPaymentMessage({ purpose: "Оплата" });
  await bank.getPaymentMessage("guid");
  server.close();
  const [posted, read] = calls;
  expect([posted?.method, posted?.body.length]).toEqual(["POST", expect.any(Number)]);
  expect(posted?.claim).toBe(bodyDigest(posted?.body ?? new Uint8Array()));
  expect([read?.method, read?.claim]).toEqual(["GET", undefined]);
});
