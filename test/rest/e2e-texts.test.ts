import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { refusedTexts, refusedUrls, takenTexts, takenUrls } from "../support/texts.ts";
import { exampleClaims } from "./fixture.ts";
import {
  acceptedClaims,
  access,
  createOrder,
  messagesUrl,
  orderClaims,
  ordersUrl,
  post,
  signText,
  withMember,
} from "./forge.ts";

// What a merchant and a bank may write into a field, through REST, with a database that keeps it.

let platform: Platform;
let template: Claims;
beforeAll(async () => {
  platform = await startPlatform();
  template = await acceptedClaims(platform);
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const beneficiary = exampleClaims("OrderClaims").fri;

async function order(field: string, value: unknown): Promise<Response> {
  return createOrder(platform, withMember({ ref: randomUUID(), fri: beneficiary }, field, value));
}

async function newOrder(): Promise<string> {
  const { id } = (await (await order("prp", "Payment")).json()) as { id: string };
  return id;
}

/** A message that would be accepted, for an order of its own. */
const goodClaims = async (): Promise<Claims> => ({
  ...template,
  jti: randomUUID(),
  payment_message_external_id: randomUUID(),
  order_id: await newOrder(),
});

async function submit(claims: Claims): Promise<Response> {
  const { key } = platform.initiator;
  return post(messagesUrl(platform), { jwt: await signJws(claims, key) }, await access(key));
}

const message = async (field: string, value: unknown) => submit(withMember(await goodClaims(), field, value));

/** Every text field of both, with the code of its refusal and how many characters it may have. */
const fields: [kind: "order" | "message", field: string, code: string, limit: number][] = [
  ["order", "ref", "INVALID_REQUEST", 140],
  ["order", "prp", "INVALID_PURPOSE", 420],
  ["order", "fri.frn", "INVALID_REQUEST", 140],
  ["order", "fri.frc", "INVALID_REQUEST", 20],
  ["message", "jti", "INVALID_REQUEST", 128],
  ["message", "payment_message_external_id", "INVALID_EXTERNAL_ID", 64],
  ["message", "purpose", "INVALID_PURPOSE", 420],
];
const send = { order, message };

describe.each(fields)("%s: %s", (kind, field, code, limit) => {
  test.each(refusedTexts)("refuses %s", async (_what, text) => {
    const response = await send[kind](field, text);
    const body = (await response.json()) as Claims;
    expect([response.status, body.code, body.field], JSON.stringify(body)).toEqual([400, code, field]);
    expect(body.error).toContain(`${field} `);
  });

  test.each(takenTexts)("takes %s", async (_what, text) => {
    const response = await send[kind](field, text);
    expect(response.status, await response.text()).toBe(201);
  });

  test("counts characters as people do, not their halves", async () => {
    const suffix = randomUUID();
    expect((await send[kind](field, `${"💳".repeat(limit - 1)}Я`)).status).toBe(201);
    const response = await send[kind](field, "💳".repeat(limit + 1) + suffix);
    expect([response.status, await response.json()]).toEqual([
      400,
      { error: `${field} must have at most ${limit} characters`, code, field },
    ]);
  });
});

describe("order: url", () => {
  test.each(refusedUrls)("refuses %j", async (url) => {
    const response = await order("url", url);
    expect([response.status, await response.json()]).toMatchObject([400, { code: "INVALID_REQUEST", field: "url" }]);
  });

  test.each(takenUrls)("takes %s", async (url) => {
    expect((await order("url", url)).status).toBe(201);
  });
});

describe("encrypted fields", () => {
  test.each([
    ["debtor.debtor_name", "Lesia Ukrainka", "INVALID_DEBTOR_NAME"],
    ["debtor.debtor_id", "1234567890", "INVALID_DEBTOR_ID"],
    ["creditor.creditor_name", "Kyiv Books", "INVALID_CREDITOR_NAME"],
    ["creditor.creditor_id", "Крамниця у Києві на Подолі", "INVALID_CREDITOR_ID"],
  ])("%s in clear is called by what it is not", async (field, value, code) => {
    const response = await message(field, value);
    const problem = "is not base64 ciphertext (AES-256-GCM with its 16-byte tag, in standard base64 with padding)";
    expect(await response.json()).toEqual({ error: `${field} ${problem}`, code, field });
  });

  test.each([
    ["a byte longer", 257],
    ["twice as long", 512],
    ["a byte shorter", 255 + 3],
  ])("an encrypted_key %s than the recipient's modulus is refused", async (_what, bytes) => {
    const response = await message("encryption.encrypted_key", Buffer.alloc(bytes, "k").toString("base64"));
    expect([response.status, await response.json()]).toEqual([
      400,
      {
        error: "encryption.encrypted_key is not base64 of 256 bytes, as long as the recipient bank's key",
        code: "INVALID_ENCRYPTED_KEY",
        field: "encryption.encrypted_key",
      },
    ]);
  });

  test("one that is too short for any key is called what it is not", async () => {
    const response = await message("encryption.encrypted_key", "a1b2c3d4e5f6g7h8i9j0");
    expect(await response.json()).toMatchObject({
      error: "encryption.encrypted_key is not base64 of a key that is encrypted by RSA-OAEP for the recipient bank",
    });
  });
});

describe("accounts with letters", () => {
  const withLetters = "UA45305299ABCDEFGHIJKLMNOPQRS";

  test("a payer may have one", async () => {
    expect((await message("debtor.debtor_account", withLetters)).status).toBe(201);
    const wrong = await message("debtor.debtor_account", withLetters.replace("S", "T"));
    expect(await wrong.json()).toEqual({
      error: "debtor.debtor_account has wrong IBAN check digits",
      code: "INVALID_DEBTOR_ACCOUNT",
      field: "debtor.debtor_account",
    });
  });

  test("a merchant may have one, and is paid to it", async () => {
    const wish = { name: "Letters", bank: platform.recipient };
    const shop = await platform.newMerchant(wish, { iban: withLetters });
    await platform.initiator.pays(await shop.order());
  });
});

describe("claims that nobody knows are ignored, whatever they hold", () => {
  const oddities: [what: string, members: string][] = [
    ["half of a pair", '"novelty":"\\ud83d","other":{"deep":["\\udcb3"]}'],
    ["a NUL", '"novelty":"a\\u0000b","no\\u0000velty":1'],
    ["half of a pair as a name", '"\\ud83d":1,"fri2":{"\\udcb3":"\\ud83d"}'],
    ["huge numbers", '"novelty":1e999,"other":-1e999,"more":123456789012345678901234567890'],
    ["a deep nest", `"novelty":${"[".repeat(9_000)}${"]".repeat(9_000)}`],
    ["names of JavaScript's own", '"__proto__":{"amt":1},"constructor":"x","toString":0'],
  ];
  const withMore = (claims: Claims, members: string) => JSON.stringify(claims).replace(/}$/, `,${members}}`);
  const evidence = async (table: string, id: string, key: string) =>
    (await platform.rows<{ jws: string }>(`select jws from ${table} where ${key} = $1`, id))[0]?.jws;

  test.each(oddities)("in an order: %s", async (_what, members) => {
    const jwt = await signText(withMore(orderClaims(platform), members), platform.merchant.key);
    const response = await post(ordersUrl(platform), { jwt });
    const { id } = (await response.json()) as { id: string };
    expect(response.status).toBe(201);
    expect(await evidence("payment_order", id, "guid")).toBe(jwt);
  });

  test.each(oddities)("in a payment message and its access token: %s", async (_what, members) => {
    const { key } = platform.initiator;
    const jwt = await signText(withMore(await goodClaims(), members), key);
    const claims = { iat: Math.floor(Date.now() / 1000), jti: randomUUID() };
    const headers = { "Cx-Authorization": await signText(withMore(claims, members), key) };
    // A header of Node's has 16 KiB at most, all of them together.
    const sent = members.length > 5_000 ? await access(key) : headers;
    const response = await post(messagesUrl(platform), { jwt }, sent);
    const { guid } = (await response.json()) as { guid: string };
    expect(response.status).toBe(201);
    expect(await evidence("payment_evidence", guid, "payment_message_guid")).toBe(jwt);
  });

  test.each(oddities)(
    "in what a bank states about a register, signed or not, and in a new key: %s",
    async (_what, members) => {
      const { key, guid } = platform.initiator;
      const url = `${platform.url()}/api/v1/counterparty/${guid}`;
      const payment = withMore(exampleClaims("GrossSettlementPaymentClaims"), members);
      for (const body of [payment, { jwt: await signText(payment, key) }]) {
        const response = await post(`${url}/gross-settlement/pay/1012231`, body, await access(key));
        expect(await response.json()).toEqual({ error: "REGISTER_NOT_FOUND", description: "not found" });
      }
      const { kty, n, e } = key.publicJwk;
      const wish = withMore({ jwk: { kty, n, e, kid: key.kid } }, members);
      const added = await post(`${url}/keys`, { jwt: await signText(wish, key) }, await access(key));
      expect(await added.json()).toEqual({ kid: key.kid });
    },
  );

  test("a member that is named twice is refused all the same, known or not", async () => {
    const text = withMore(orderClaims(platform), '"novelty":1,"novelty":1');
    const response = await post(ordersUrl(platform), { jwt: await signText(text, platform.merchant.key) });
    expect([response.status, await response.json()]).toMatchObject([400, { field: "novelty" }]);
  });
});

test("the documents' own order is accepted, its times moved so that it was made now", async () => {
  const sample = exampleClaims("OrderClaims") as Claims & { exp: number; iat: number; sub: string };
  const shop = await platform.newMerchant({ name: "City24", bank: platform.recipient, uid: sample.sub });
  const iat = Math.floor(Date.now() / 1000);
  for (const times of [
    { iat, exp: iat + sample.exp - sample.iat },
    { iat: String(iat), exp: String(iat + sample.exp - sample.iat) },
  ]) {
    const jwt = await signJws({ ...sample, ...times }, shop.key, { typ: null });
    const response = await fetch(`${ordersUrl(platform)}?jwt=${jwt}`, { method: "POST" });
    expect(response.status, await response.clone().text()).toBe(201);
  }
});

describe("what a bank reads of an order before it debits a payer", () => {
  const read = async (id: string) => {
    const answer = await platform.initiator.client().getOrderForBank(id);
    return answer.ok ? answer.body.status : answer.body;
  };

  test("says where the order stands, and is not paid twice", async () => {
    const open = await platform.merchant.order();
    expect(await read(open.id)).toBe("Created");
    await platform.initiator.pays(open);
    await platform.endsAllCallbacks();
    expect(await read(open.id)).toBe("Success");
    await expect(platform.initiator.pays(open)).rejects.toThrow("The order cannot be paid any more: it is Success");
  });

  test("says of one whose time is up that it is canceled, whether or not that is done yet, as its status does", async () => {
    const late = await platform.merchant.order();
    await platform.rows("update payment_order set expires_at = now() where guid = $1", late.id);
    expect(await read(late.id)).toBe("Canceled");
    expect(await platform.merchant.client().getOrderStatus(late.id)).toMatchObject({ body: { status: "Canceled" } });
    await expect(platform.initiator.pays(late)).rejects.toThrow("The order cannot be paid any more: it is Canceled");
  });

  test("is not under the platform's signature, where it would go stale", async () => {
    const jwt = await signJws(orderClaims(platform), platform.merchant.key);
    const response = await post(`${ordersUrl(platform)}?custom=true`, { jwt });
    const { jwt: details = "" } = (await response.json()) as { jwt: string };
    const claims = JSON.parse(Buffer.from(details.split(".")[1] ?? "", "base64url").toString()) as Claims;
    expect(claims).toMatchObject({ uid: platform.merchant.uid });
    expect(claims).not.toHaveProperty("status");
  });
});

test("texts that were taken before there was a rule are read as they are", async () => {
  const { id } = (await (await order("prp", "Payment")).json()) as { id: string };
  const old = {
    name: "two\u2028lines\u0085",
    taxNumber: "\u200b",
    iban: "UA55386780956567",
    bic: "300335",
    mcc: "7791",
  };
  await platform.rows(
    "update payment_order set purpose = $2, ultimate_creditor = $3, redirect_url = 'https://a:b@shop.example/' where guid = $1",
    ...[id, "a\u0085b\u2028", JSON.stringify(old)],
  );
  const answer = await platform.initiator.client().getOrderForBank(id);
  expect(answer.body).toMatchObject({ prp: "a\u0085b\u2028", fri: { frn: old.name, frc: "\u200b" } });
  expect(await platform.merchant.client().getOrderStatus(id)).toMatchObject({ ok: true });
  expect((await fetch(`${ordersUrl(platform)}?id=${id}`)).status).toBe(200);
});

describe("a refusal names the parameter as its caller does", () => {
  test.each(["id", "order_id"])("%s", async (name) => {
    const ask = async (id: string) => {
      const url = `${ordersUrl(platform)}/nbu/json?${name}=${id}`;
      return (await fetch(url, { headers: await access(platform.initiator.key) })).json();
    };
    expect(await ask(randomUUID())).toMatchObject({ code: "ORDER_NOT_FOUND", field: name });
    const shop = await platform.newMerchant({ name: "Suspended", bank: platform.recipient });
    const { id } = await shop.order();
    const { participants } = platform.operators();
    const { participant } = await participants.getParticipant({ by: { case: "uid", value: shop.uid } });
    await participants.suspendParticipant({ guid: participant?.guid ?? "" });
    expect(await ask(id)).toMatchObject({ code: "RECEIVER_COUNTERPARTY_SUSPENDED", field: name });
  });
});
