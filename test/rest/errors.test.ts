import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import {
  asRefusal,
  errorAnswer,
  errorFamilyOf,
  isDeclaredRefusal,
  RestRefusal,
  wholeAnswer,
} from "../../src/rest/errors.ts";
import { refusedByCore } from "./fixture.ts";

const settlements = "/api/v1/counterparty/x/gross-settlement";

describe("an error of the core as a refusal", () => {
  test("a refusal stays what it is, and what nobody expected is none", () => {
    const refusal = new RestRefusal("FORBIDDEN");
    expect(asRefusal(refusal)).toBe(refusal);
    for (const error of [new Error("x"), undefined, "x", { code: Code.Unavailable }]) {
      expect(asRefusal(error)).toBeUndefined();
    }
  });

  test.each([
    [Code.Unavailable, "UNAVAILABLE"],
    [Code.ResourceExhausted, "OVERLOADED"],
    [Code.DeadlineExceeded, "TIMEOUT"],
    [Code.Internal, undefined],
    [Code.NotFound, undefined],
  ])("one of the transport, code %i: %s", (code, refused) => {
    expect(asRefusal(new ConnectError("x", code))?.code).toBe(refused);
  });

  test.each([
    [ErrorReason.ORDER_NOT_FOUND, "ORDER_NOT_FOUND"],
    [ErrorReason.WRONG_DATA, "wrong_data"],
    [ErrorReason.PARTICIPANT_EXISTS, undefined],
    [ErrorReason.KEY_NOT_FOUND, undefined],
    [ErrorReason.INTERNAL_ERROR, undefined],
    [ErrorReason.UNSPECIFIED, undefined],
    [9999 as ErrorReason, undefined],
  ])("reason %i: %s", (reason, code) => {
    expect(asRefusal(refusedByCore(reason))?.code).toBe(code);
  });

  const detailsOf = (detail: Parameters<typeof refusedByCore>[1], names?: Record<string, string>) =>
    asRefusal(refusedByCore(ErrorReason.INVALID_REQUEST, detail), names)?.details;

  test.each([
    ["page_token", "cursor"],
    ["page_size", "limit"],
    ["jws", "jwt"],
    ["amt", "amt"],
  ])("the core's %s is the caller's %s, in the sentence too", (field, name) => {
    expect(detailsOf({ field, message: `${field} is wrong` })).toEqual({ text: `${name} is wrong`, field: name });
  });

  test("an operation's own names come first, and a name is no pattern of replacement", () => {
    const detail = { field: "page_token", message: "page_token is wrong" };
    expect(detailsOf(detail, { page_token: "$&" })).toEqual({ text: "$& is wrong", field: "$&" });
  });

  test("what the core does not say is not said", () => {
    expect(detailsOf({ message: "" })).toEqual({});
    expect(detailsOf({ message: "", paymentMessageGuid: "guid" })).toEqual({ paymentMessageGuid: "guid" });
  });
});

describe("the form of a refusal", () => {
  test.each([
    [settlements, "SettlementErrorAnswer"],
    [`${settlements}/7/pay`, "SettlementErrorAnswer"],
    [`${settlements}?limit=1`, "SettlementErrorAnswer"],
    [settlements.toUpperCase(), "SettlementErrorAnswer"],
    [`${settlements}s`, "ErrorAnswer"],
    [`/x${settlements}`, "ErrorAnswer"],
    ["/api/v1/counterparty/x/y/gross-settlement", "ErrorAnswer"],
    ["/api/v1/merchants/order", "ErrorAnswer"],
    ["", "ErrorAnswer"],
  ])("%s: %s", (url, family) => {
    expect(errorFamilyOf(url)).toBe(family);
    const { body } = errorAnswer(new RestRefusal("TIMEOUT"), url);
    const text = "the service did not answer in time, try again";
    const expected =
      family === "ErrorAnswer" ? { error: text, code: "TIMEOUT" } : { error: "TIMEOUT", description: text };
    expect(JSON.parse(JSON.stringify(body))).toEqual(expected);
  });

  test("names the field and the payment message where there is one", () => {
    const refusal = new RestRefusal("INVALID_REQUEST", { text: "t", field: "f", paymentMessageGuid: "g" });
    expect(errorAnswer(refusal, "/").body).toEqual({
      ...{ error: "t", code: "INVALID_REQUEST", field: "f", payment_message_guid: "g" },
    });
    const empty = new RestRefusal("INVALID_REQUEST", { field: "", paymentMessageGuid: "" });
    expect(errorAnswer(empty, "/").body).toEqual({ error: "INVALID_REQUEST", code: "INVALID_REQUEST" });
    expect([refusal.message, empty.message]).toEqual(["t", "INVALID_REQUEST"]);
  });

  test("an order's status is refused with an empty object where the order is unknown, and only there", () => {
    const unknown = new RestRefusal("ORDER_NOT_FOUND");
    expect(errorAnswer(unknown, "/", "getOrderStatus").body).toEqual({});
    expect(errorAnswer(new RestRefusal("TIMEOUT"), "/", "getOrderStatus").body).not.toEqual({});
    expect(errorAnswer(unknown, "/", "getOrderForBank").body).not.toEqual({});
    expect(errorAnswer(unknown, "/").body).not.toEqual({});
  });

  test("a retry after a second is advised where the service is busy, and nowhere else", () => {
    expect(errorAnswer(new RestRefusal("OVERLOADED"), "/")).toMatchObject({
      status: 503,
      headers: { "Retry-After": "1" },
    });
    expect(errorAnswer(new RestRefusal("FORBIDDEN"), "/").headers).toEqual({});
  });

  test("the status is the operation's own where it declares one", () => {
    const late = new RestRefusal("TIMEOUT");
    expect(errorAnswer(late, settlements, "payGrossSettlement").status).toBe(408);
    expect(errorAnswer(late, settlements, "getGrossSettlement").status).toBe(503);
    expect(errorAnswer(late, settlements).status).toBe(503);
  });

  test("a refusal that an operation does not declare is known as such", () => {
    const refusal = new RestRefusal("REGISTER_NOT_FOUND");
    expect(isDeclaredRefusal(refusal, "getGrossSettlement")).toBe(true);
    expect(isDeclaredRefusal(refusal, "getHealth")).toBe(false);
    expect(isDeclaredRefusal(refusal, undefined)).toBe(true);
  });

  test("a whole answer has the constant headers, and counts its bytes", () => {
    const { status, headers, text } = wholeAnswer(new RestRefusal("INVALID_REQUEST", { text: "ї" }), "/");
    expect([status, JSON.parse(text)]).toEqual([400, { error: "ї", code: "INVALID_REQUEST" }]);
    expect(headers).toEqual({
      "Content-Type": "application/json; charset=utf-8",
      "Content-Length": Buffer.byteLength(text),
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-store",
    });
    expect(wholeAnswer(new RestRefusal("OVERLOADED"), "/").headers).toHaveProperty("Retry-After", "1");
  });
});
