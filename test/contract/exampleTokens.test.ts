import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { exampleKeys as published } from "../../gen/rest/exampleKeys.ts";
import { type ClaimsName, claims as documented } from "../../gen/rest/operations.ts";
import { callbackHeaders, webhooks } from "../../gen/rest/webhooks.ts";
import {
  CONTRACT,
  exampleKeyPairs,
  exampleKeys,
  exampleTokens,
  renewedContract,
} from "../../scripts/example-tokens.ts";
import { storableKey } from "../../src/core/participantChecks.ts";
import type { PublicJwk } from "../../src/domain/participant.ts";
import { bodyDigest } from "../../src/sdk/access.ts";
import { verifyCallback } from "../../src/sdk/callbacks.ts";
import { type Claims, verifyJws } from "../../src/sdk/jws.ts";
import { importPublicKey, type VerificationKey } from "../../src/sdk/keys.ts";
import { decryptPersonalData, type Encryption } from "../../src/sdk/personalData.ts";
import { fakeContext } from "../core/identity/fakeContext.ts";
import { openapi } from "../rest/fixture.ts";

type Node = { [key: string]: unknown };
const text = readFileSync(CONTRACT, "utf8");
const tokens = exampleTokens(openapi);

// Reading a key takes longer than any use of it.
const verifying = new Map<string, VerificationKey>();
let signing: Awaited<ReturnType<typeof exampleKeyPairs>>;
beforeAll(async () => {
  signing = await exampleKeyPairs();
  for (const [party, jwk] of Object.entries(published)) {
    const imported = await importPublicKey(jwk);
    if (imported.ok) verifying.set(party, imported.key);
  }
}, 60_000);
const publishedKey = (party: string) => verifying.get(party) as VerificationKey;

/** Every value of the document with its pointer. */
function* values(node: unknown, pointer = "#"): Generator<[pointer: string, value: unknown]> {
  yield [pointer, node];
  if (typeof node !== "object" || node === null) return;
  for (const [name, part] of Object.entries(node)) yield* values(part, `${pointer}/${name}`);
}

describe("example tokens", () => {
  test("every token in the document is one that is signed here", () => {
    const found = [...values(openapi)].filter(([, value]) => typeof value === "string" && value.startsWith("eyJ"));
    expect(found.map(([pointer]) => pointer).sort()).toEqual(tokens.map(({ path }) => `#/${path.join("/")}`).sort());
    expect(tokens.length).toBeGreaterThan(20);
  });

  test.each(tokens.map((token) => [token.path.join("/"), token] as const))(
    "%s verifies, and says what is documented for its place",
    async (_place, { token, claims, claimsName, signer }) => {
      const verified = await verifyJws(token, [publishedKey(signer)]);
      expect(verified).toMatchObject({ ok: true, header: { typ: "JWT", alg: "RS256" } });
      expect(verified.ok && verified.claims).toEqual(claims);
      const { validate } = documented[claimsName as ClaimsName];
      expect(validate(claims) || validate.errors).toBe(true);
    },
  );

  test("signing them anew changes nothing, and a changed claim changes its token", async () => {
    expect(await renewedContract(text, signing)).toBe(text);
    const changed = await renewedContract(
      text.replace("\n          ref: d4ee06f\n", "\n          ref: d4ee070\n"),
      signing,
    );
    const before = new Set(text.split("\n"));
    expect(changed.split("\n").filter((line) => !before.has(line))).toHaveLength(2);
  });
});

const receivers: Record<string, string> = {};
for (const { claims } of tokens) if (typeof claims.aud === "string") receivers[claims.aud] = claims.aud;

describe("example callbacks", () => {
  const { parameters } = openapi.components as unknown as { parameters: Record<string, Node> };
  const guid = parameters.CallbackGuidHeader?.example as string;
  const access = parameters.CallbackAuthorizationHeader?.examples as Record<string, { value: string }>;

  /** What arrives, as the document shows it: body, headers and the kind's word. */
  const examples = Object.entries(webhooks).flatMap(([name, { word, form }]) => {
    const { content } = (
      openapi.webhooks as Record<string, { post: { requestBody: { content: Record<string, Node> } } }>
    )[name]?.post.requestBody ?? { content: {} };
    return Object.entries(content).flatMap(([type, { example, examples: named }]) => {
      const bodies = named ? Object.values(named as Record<string, Node>).map(({ value }) => value) : [example];
      return bodies.map((body) => ({ name, type, word, form, body }));
    });
  });

  test.each(examples)("$name as $type is what a receiver verifies", async ({ word, form, body }) => {
    const rawBody = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    const headers = {
      [callbackHeaders.CallbackAuthorizationHeader]: access[form === "open" ? "expiration" : "signed"]?.value,
      [callbackHeaders.CallbackGuidHeader]: guid,
      [callbackHeaders.CallbackKindHeader]: word,
    };
    const audience = Object.keys(receivers);
    const results = await Promise.all(
      audience.map(async (name) =>
        verifyCallback(
          { headers, rawBody },
          { audience: name, keys: [publishedKey("platform")] },
          new Date("2023-12-10T10:12:12Z"),
        ),
      ),
    );
    const accepted = results.filter(({ ok }) => ok);
    expect(accepted).toMatchObject([{ ok: true, guid, form: form === "open" ? "open" : "signed" }]);
  });

  test("the open body's digest is the one that its token binds", () => {
    const { example } = (
      openapi.webhooks as { expiration: { post: { requestBody: { content: Record<string, Node> } } } }
    ).expiration.post.requestBody.content["application/json"] as Node;
    const [bound] = tokens.filter(({ claims }) => claims.body_sha256 !== undefined);
    expect(bound?.claims.body_sha256).toBe(bodyDigest(Buffer.from(JSON.stringify(example))));
  });
});

describe("example keys", () => {
  test("the document has the public half of each, and no more of it", () => {
    const secrets = exampleKeys();
    expect(Object.keys(secrets)).toEqual(Object.keys(published));
    for (const [party, secret] of Object.entries(secrets)) {
      const { d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...open } = secret;
      expect(published[party as keyof typeof published]).toEqual(open);
      expect(text).not.toContain(d);
    }
  });

  test("whoever has the recipient's key reads the encrypted fields of every example", async () => {
    const messages = [...values(openapi)].flatMap(([, value]) => {
      const message = value as { debtor?: Claims; creditor?: Claims; encryption?: Encryption } | null;
      return typeof message?.debtor?.debtor_name === "string" ? [message] : [];
    });
    expect(messages.length).toBeGreaterThan(4);
    for (const { debtor, creditor, encryption } of messages) {
      const fields = {
        debtor_name: debtor?.debtor_name as string,
        debtor_id: debtor?.debtor_id as string,
        creditor_name: creditor?.creditor_name as string,
        creditor_id: creditor?.creditor_id as string,
      };
      expect(await decryptPersonalData(fields, encryption as Encryption, exampleKeys().recipient as object)).toEqual({
        ok: true,
        fields: {
          debtor_name: "Lesia Ukrainka",
          debtor_id: "1234567890",
          creditor_name: "City24 LLC",
          creditor_id: "12345678",
        },
      });
    }
  });

  test.each(Object.entries(published))(
    "the gateway refuses to register that of %s, under any name",
    async (_party, jwk) => {
      const context = fakeContext([], { publicKey: async (given) => given as PublicJwk });
      const renamed = { ...jwk, kid: "ours" };
      const refused = await storableKey(context, renamed, "jwk");
      expect(refused).toMatchObject({ refused: "INVALID_KEY", message: expect.stringContaining("published") });
      expect(await storableKey(context, { ...renamed, n: "another", x: "another" }, "jwk")).toMatchObject({
        kid: "ours",
      });
    },
  );
});
