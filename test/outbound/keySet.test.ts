import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createAddressGuard } from "../../src/outbound/address.ts";
import { fetchKeySet } from "../../src/outbound/keySet.ts";

const guard = createAddressGuard({ allowCidrs: ["127.0.0.0/8"] });

/** Publishes a text until the test is over. */
async function publish(text: string, status = 200): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status).end(text));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
}

test("a key set is answered as it is published", async () => {
  expect(await fetchKeySet(guard, await publish('{"keys":[]}'))).toEqual({ keys: [] });
});

test.each([
  // The parser would quote the pair cut in half.
  ["what is no JSON", '{"keys": 💙💛}', 200, "could not be read: answered no JSON"],
  ["an error", "<secret>", 500, "could not be read: answered 500"],
  ["more than a key set can be", "x".repeat(70_000), 200, expect.not.stringContaining("xx")],
])("%s is told in our own words", async (_what, text, status, message) => {
  const address = await publish(text, status);
  await expect(fetchKeySet(guard, address)).rejects.toMatchObject({ message });
});
