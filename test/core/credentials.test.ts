import { createHash } from "node:crypto";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newSecret } from "../../src/core/credentialSecret.ts";
import { scopes as wireScopes } from "../../src/wire/enums.ts";
import { accepted, openPlatform, operator, type Platform, reasonOf, serial, setClock } from "./platform.ts";

let platform: Platform;

beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

const inAnHour = () => new Date(Date.now() + 3_600_000);

async function newCredential(name = `service-${serial()}`, secret?: string) {
  const wanted = { name, scopes: ["reader", "gateway", "reader"] as const, expiresAt: inAnHour() };
  return accepted(await platform.core.addCredential(operator, wanted, secret));
}

test("addCredential: each secret is 32 random bytes, and only its digest is stored", async () => {
  const { credential, secret } = await newCredential();
  expect(secret).toMatch(/^dcm_[\w-]{43}$/);
  expect(newSecret()).not.toBe(newSecret());
  const [row] = await platform.rows<{ secret_sha256: Buffer }>(
    "select * from service_credential where name = $1",
    credential.name,
  );
  expect(row?.secret_sha256).toEqual(createHash("sha256").update(secret).digest());
  expect(JSON.stringify(row)).not.toContain(secret);
});

test("addCredential: it says what was made, each scope once", async () => {
  const { credential } = await newCredential();
  expect(credential.scopes).toEqual([wireScopes.reader, wireScopes.gateway]);
  expect(credential.revokedAt).toBeUndefined();
  expect(credential.expiresAt && timestampDate(credential.expiresAt).getTime()).toBeGreaterThan(Date.now());
});

test("addCredential: a secret that is given is used, once", async () => {
  const secret = newSecret();
  expect((await newCredential("given", secret)).secret).toBe(secret);
  const wanted = { name: "other", scopes: ["reader"] as const, expiresAt: inAnHour() };
  expect(await platform.core.addCredential(operator, wanted, secret)).toMatchObject({ refused: "CREDENTIAL_EXISTS" });
});

test("addCredential: a name is used once, also one that was revoked", async () => {
  const { credential } = await newCredential();
  accepted(await platform.core.revokeCredential(operator, credential.name));
  const again = { name: credential.name, scopes: ["reader"] as const, expiresAt: inAnHour() };
  expect(await platform.core.addCredential(operator, again)).toMatchObject({
    refused: "CREDENTIAL_EXISTS",
    field: "name",
  });
});

test.each([
  ["a name in capitals", { name: "Bank" }, "name"],
  ["no scope", { scopes: [] }, "scopes"],
  ["an expiry that is over", { expiresAt: new Date(Date.now() - 1_000) }, "expires_at"],
])("addCredential: %s is refused, and nothing is made", async (_, change, field) => {
  const wanted = { name: `service-${serial()}`, scopes: ["reader"] as const, expiresAt: inAnHour(), ...change };
  expect(await platform.core.addCredential(operator, wanted)).toMatchObject({ refused: "INVALID_REQUEST", field });
  expect(await platform.core.isCredentialName(wanted.name)).toBe(false);
});

test("serviceOf: a secret is its service's until it expires", async () => {
  const { credential, secret } = await newCredential();
  const service = { name: credential.name, scopes: ["reader", "gateway"] };
  expect(await platform.core.serviceOf(secret)).toEqual(service);
  expect(await platform.core.serviceOf(`${secret}x`)).toBeUndefined();
  await setClock(platform, new Date(Date.now() + 3_601_000));
  expect(await platform.core.serviceOf(secret)).toBeUndefined();
});

test("serviceOf: a revoked secret is nobody's, although its name stays known", async () => {
  const { credential, secret } = await newCredential();
  const revoked = accepted(await platform.core.revokeCredential(operator, credential.name));
  expect(revoked.revokedAt).toBeDefined();
  expect(await platform.core.serviceOf(secret)).toBeUndefined();
  expect(await platform.core.isCredentialName(credential.name)).toBe(true);
  // Idempotent: the instant is that of the first time.
  expect(accepted(await platform.core.revokeCredential(operator, credential.name))).toEqual(revoked);
});

test("revokeCredential: a name that nobody has is not found", async () => {
  const answer = await platform.core.revokeCredential(operator, "nobody");
  expect([reasonOf(answer), answer]).toMatchObject(["CREDENTIAL_NOT_FOUND", { field: "name" }]);
});

test("listCredentials: by name, in pages, without a secret", async () => {
  for (const name of ["zb", "za", "zc"]) await newCredential(name);
  const named = async (page?: { limit?: number; after?: string }) =>
    (await platform.core.listCredentials(page)).map(({ name }) => name);
  expect(await named({ after: "z" })).toEqual(["za", "zb", "zc"]);
  expect(await named({ limit: 1, after: "za" })).toEqual(["zb"]);
  const all = await named();
  expect(all).toEqual(all.toSorted());
  expect(all.slice(-3)).toEqual(["za", "zb", "zc"]);
  expect(JSON.stringify((await platform.core.listCredentials())[0], (_, value) => String(value))).not.toContain("sha");
});
