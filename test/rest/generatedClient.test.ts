import createClient from "openapi-fetch";
import { afterAll, beforeAll, expect, expectTypeOf, test } from "vitest";
import type { paths } from "../../gen/rest/types.ts";
import { refuse } from "../../src/domain/errors.ts";
import { signJws } from "../../src/sdk/jws.ts";
import {
  access,
  BANK_GUID,
  exampleClaims,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
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
      submitPaymentMessage: async () =>
        refuse("PAYMENT_MESSAGE_EXISTS", "it exists", { paymentMessageGuid: MESSAGE_GUID }),
    },
  });
});
afterAll(() => rest.stop());

test("a client made by a standard generator drives the running server", async () => {
  const client = createClient<paths>({ baseUrl: rest.url });

  const jwt = await signJws(exampleClaims("OrderClaims"), keys.merchant);
  const created = await client.POST("/api/v1/merchants/order", { body: { jwt } });
  expect(created.response.status).toBe(201);
  const id = created.data?.id ?? "";
  expectTypeOf(created.data?.link_qr).toEqualTypeOf<string | undefined>();

  const headers = await access(keys.bank);
  const order = await client.GET("/api/v1/merchants/order/nbu/json", { params: { query: { id } }, headers });
  expect(order.data?.amt).toBe(1000);
  expectTypeOf(order.data?.mcc).toEqualTypeOf<number | undefined>();

  const path = { counterparty_guid: BANK_GUID };
  const refused = await client.POST("/api/v1/counterparty/{counterparty_guid}/payment-message", {
    params: { path },
    body: { jwt: await signJws(exampleClaims("PaymentMessageClaims"), keys.bank) },
    headers: await access(keys.bank),
  });
  expect(refused.response.status).toBe(409);
  expect(refused.error?.payment_message_guid).toBe(MESSAGE_GUID);
});
