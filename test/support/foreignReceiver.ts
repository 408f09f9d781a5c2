import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";

/** A callback as it came, and what was wrong with it for somebody who has read the contract and uses jose. */
type ForeignCall = { kind: string; guid: string; kid: string | undefined; problem: string | undefined };

/**
 * A receiver that shares nothing with ours: it verifies with jose, remembers the platform's keys for exactly as long as their
 * Cache-Control allows, and reads them no sooner, also when it meets a kid that it does not know. It serves a key set of its own.
 */
export async function startForeignReceiver(platformUrl: () => string) {
  const calls: ForeignCall[] = [];
  let remembered: { keys: JSONWebKeySet; untilMs: number } | undefined;
  let published: object[] = [];

  async function platformKeys(): Promise<JSONWebKeySet> {
    if (remembered !== undefined && performance.now() < remembered.untilMs) return remembered.keys;
    const response = await fetch(`${platformUrl()}/api/v1/.well-known/jwks.json`);
    const [, seconds] = /max-age=(\d+)/.exec(response.headers.get("cache-control") ?? "") ?? [];
    const keys = (await response.json()) as JSONWebKeySet;
    remembered = { keys, untilMs: performance.now() + Number(seconds) * 1_000 };
    return keys;
  }

  async function problemOf(request: IncomingMessage, body: string): Promise<string | undefined> {
    try {
      const keys = createLocalJWKSet(await platformKeys());
      await jwtVerify(String(request.headers["cx-authorization"]), keys);
      if (request.headers["x-callback-kind"] !== "expiration") await jwtVerify(JSON.parse(body).jwt, keys);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  const server = createServer(async (request, response) => {
    if (request.method === "GET") return void response.end(JSON.stringify({ keys: published }));
    const body = await text(request);
    const problem = await problemOf(request, body);
    const [header = ""] = String(request.headers["cx-authorization"]).split(".");
    const { kid } = JSON.parse(Buffer.from(header, "base64url").toString() || "{}");
    const named = (name: string) => String(request.headers[name]);
    calls.push({ kind: named("x-callback-kind"), guid: named("x-callback-guid"), kid, problem });
    response.writeHead(problem === undefined ? 200 : 401).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    calls,
    publishes(...jwks: object[]) {
      published = jwks;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
