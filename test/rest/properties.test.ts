import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { components } from "../../gen/rest/types.ts";
import { orderContent } from "../../src/core/identity/requests.ts";
import { isRefusal } from "../../src/domain/errors.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { amountNumber, amountText } from "../../src/wire/values.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  ORDER_ID,
  postJson,
  type Rest,
  startRest,
} from "./fixture.ts";

let keys: Keys;
let rest: Rest;

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, {
    core: {
      createOrder: async () => ({ ...exampleOrder(keys), alreadyExisted: false }),
      getOrder: async () => exampleOrder(keys),
      submitPaymentMessage: async () => ({ guid: MESSAGE_GUID }),
      payRegister: async () => ({ repeated: false }),
      confirmRegister: async () => ({ repeated: false }),
      listRegisters: async () => ({ registers: [], total: 0 }),
      listCallbacks: async () => [],
    },
  });
});
afterAll(() => rest.stop());

const runs = { numRuns: 60 };

/** Any JSON value, and those that JSON readers stumble over. */
const anyValue = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    1e308,
    -0,
    2 ** 53,
    "\ud800",
    "\u0000",
    "__proto__",
    [[]],
    { toString: 1 },
    "x".repeat(5000),
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** A valid payload with some of its fields, at any depth, replaced by anything. */
function mutated(name: string) {
  const example = exampleClaims(name);
  const paths = Object.entries(example).flatMap(([field, value]) =>
    typeof value === "object" ? [[field], ...Object.keys(value as object).map((inner) => [field, inner])] : [[field]],
  );
  const change = fc.record({ path: fc.constantFrom(...paths), value: anyValue });
  return fc.array(change, { minLength: 0, maxLength: 3 }).map((changes) => {
    const claims = exampleClaims(name);
    for (const { path, value } of changes) {
      const [field = "", inner] = path;
      const parent = claims[field];
      if (inner === undefined) claims[field] = value;
      else if (typeof parent === "object" && parent !== null) Object.assign(parent, { [inner]: value });
    }
    return claims;
  });
}

describe("no input is answered 500", () => {
  test("createOrder: whatever the merchant signs", async () => {
    await fc.assert(
      fc.asyncProperty(mutated("OrderClaims"), async (claims) => {
        const { status, json } = await ask(
          rest,
          "/api/v1/merchants/order",
          postJson({ jwt: await signJws(claims, keys.merchant) }),
        );
        expect([201, 400, 401]).toContain(status);
        if (status === 400) expect(json.field).not.toBe("");
      }),
      runs,
    );
  });

  test("submitPaymentMessage: whatever the bank signs", async () => {
    const path = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
    await fc.assert(
      fc.asyncProperty(mutated("PaymentMessageClaims"), async (claims) => {
        const body = { jwt: await signJws(claims, keys.bank) };
        const { status, json } = await ask(rest, path, postJson(body, await access(keys.bank)));
        expect([201, 400]).toContain(status);
        if (status === 400) expect(json).toMatchObject({ error: expect.any(String), code: expect.any(String) });
      }),
      runs,
    );
  });

  test.each([
    ["payGrossSettlement", "GrossSettlementPaymentClaims", ""],
    ["confirmGrossSettlement", "GrossSettlementConfirmationClaims", "/confirm"],
  ])("%s: whatever the bank says, signed or not", async (_what, name, end) => {
    const path = `/api/v1/counterparty/${BANK_GUID}/gross-settlement/pay/1012231${end}`;
    await fc.assert(
      fc.asyncProperty(mutated(name), fc.boolean(), async (claims, isSigned) => {
        const body = isSigned ? { jwt: await signJws(claims, keys.bank) } : claims;
        const { status, json } = await ask(rest, path, postJson(body, await access(keys.bank)));
        expect([201, 400]).toContain(status);
        if (status === 400) expect(json).toEqual({ error: "INVALID_REQUEST", description: expect.any(String) });
      }),
      runs,
    );
  });

  test("any body", async () => {
    const body = fc.oneof(
      fc.json(),
      fc.string(),
      fc.nat(20_000).map((depth) => "[".repeat(depth)),
      fc.constant("{}"),
    );
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        const { status } = await ask(rest, "/api/v1/merchants/order", postJson(text));
        expect([400, 401]).toContain(status);
      }),
      runs,
    );
  });

  test("any token, in its place", async () => {
    const part = fc.oneof(
      fc.base64String().map((text) => text.replaceAll(/[=+/]/g, "")),
      anyValue.map((value) => Buffer.from(JSON.stringify(value)).toString("base64url")),
      fc
        .record({ alg: fc.constantFrom("RS256", "none", "HS256"), kid: anyValue, jku: fc.webUrl() })
        .map((header) => Buffer.from(JSON.stringify(header)).toString("base64url")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 4 }), async (parts) => {
        const token = parts.join(".");
        const headers = { "Cx-Authorization": token };
        const bank = await ask(rest, `/api/v1/merchants/order/${ORDER_ID}/payment-message`, { headers });
        expect(bank.status).toBe(401);
        const merchant = await ask(rest, "/api/v1/merchants/order", postJson({ jwt: token }));
        expect([400, 401]).toContain(merchant.status);
      }),
      runs,
    );
  });

  test("any query", async () => {
    const settlements = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;
    const missed = `/api/v1/counterparty/${BANK_GUID}/callbacks/missed`;
    const value = fc.oneof(
      fc.string(),
      fc.integer().map(String),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      fc.constantFrom("2023-12-10", "0000-00-00", "9999-12-31T23:59:59Z", "2023-12-10T00:00:00Z99:99", "__proto__"),
    );
    const name = fc.constantFrom(
      "offset",
      "limit",
      "from",
      "to",
      "role",
      "since",
      "cursor",
      "id",
      "mobile",
      "__proto__",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 4 }), async (pairs) => {
        const query = pairs.map(([key, text]) => `${key}=${encodeURIComponent(text.toWellFormed())}`).join("&");
        const headers = await access(keys.bank);
        for (const path of [settlements, missed, "/api/v1/merchants/order", "/api/v1/merchants/order/nbu/json"]) {
          const { status } = await ask(rest, `${path}?${query}`, { headers });
          expect([200, 400]).toContain(status);
        }
      }),
      runs,
    );
  });

  test("any path", async () => {
    await fc.assert(
      fc.asyncProperty(fc.webPath(), async (path) => {
        expect((await ask(rest, `/api/v1${path}`)).status).toBeLessThan(500);
      }),
      runs,
    );
  });
});

describe("amounts", () => {
  const minor = fc.integer({ min: 1, max: 99_999_999_999 });

  /** What the core makes of an amount that a merchant signed: minor units, or the words of a refusal. */
  function read(amt: number): number | string {
    const content = orderContent({ ...(exampleClaims("OrderClaims") as components["schemas"]["OrderClaims"]), amt });
    return isRefusal(content) ? content.message : content.amountMinor;
  }

  test("every amount in minor units comes back from its decimal as it was", () => {
    fc.assert(
      fc.property(minor, (amountMinor) => {
        const decimal = amountNumber(moneyMessage(BigInt(amountMinor)));
        expect(read(decimal)).toBe(amountMinor);
        expect(decimal.toFixed(2)).toBe(amountText(BigInt(amountMinor)));
      }),
    );
  });

  test("a third decimal is never rounded away", () => {
    fc.assert(
      fc.property(minor, fc.integer({ min: 1, max: 9 }), (amountMinor, digit) => {
        const text = `${amountText(BigInt(amountMinor % 10_000_000_000))}${digit}`;
        expect(read(Number(text))).toContain("two decimals");
      }),
    );
  });
});

function moneyMessage(amountMinor: bigint) {
  return { $typeName: "dcm.v1.Money", currency: "UAH", amountMinor } as const;
}
