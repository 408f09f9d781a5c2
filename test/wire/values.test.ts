import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  amountNumber,
  amountText,
  instantOrUnset,
  isoText,
  MAX_UNIX_SECONDS,
  money,
  publicJwk,
  unixSeconds,
} from "../../src/wire/values.ts";

const instant = new Date("2023-12-10T10:12:12.345Z");

test("money is the same number of minor units as a text of two decimals and as a number", () => {
  expect(money(150_075, "UAH")).toEqual({ amountMinor: 150_075n, currency: "UAH" });
  expect([amountText(150_070n), amountNumber(money(150_070, "UAH"))]).toEqual(["1500.70", 1500.7]);
  expect(amountNumber(undefined)).toBe(0);
});

test("an instant is written in milliseconds as a text and in whole seconds as a number", () => {
  const timestamp = timestampFromDate(instant);
  expect([isoText(timestamp), unixSeconds(timestamp)]).toEqual(["2023-12-10T10:12:12.345Z", 1_702_203_132]);
  expect([instantOrUnset(instant), instantOrUnset(null)]).toEqual([timestamp, undefined]);
});

test.each([isoText, unixSeconds])("an instant that the core owes is a fault of ours: $name", (write) => {
  expect(() => write(undefined)).toThrow("an instant is missing in the core's answer");
});

test("the largest number of seconds is the last second of the year 9999", () => {
  expect(new Date(MAX_UNIX_SECONDS * 1000).toISOString()).toBe("9999-12-31T23:59:59.000Z");
});

describe("a registered key is shown by its public members", () => {
  const rsa = { kty: "RSA", kid: "k", use: "enc", n: "n", e: "AQAB" };
  const ec = { kty: "EC", kid: "k", crv: "P-256", x: "x", y: "y" };

  test.each([rsa, ec])("all of them: %j", (jwk) => {
    expect(publicJwk(JSON.stringify({ ...jwk, d: "private", x5c: [] }), { alg: true })).toEqual(jwk);
  });

  test("its algorithm only where it is asked for", () => {
    const text = JSON.stringify({ ...rsa, alg: "RS256" });
    expect(publicJwk(text, { alg: true })).toEqual({ ...rsa, alg: "RS256" });
    expect(publicJwk(text, { alg: false })).toEqual(rsa);
  });

  test("none where none is kept", () => {
    expect(publicJwk("", { alg: true })).toBeUndefined();
  });

  test("a member that it has not is not named", () => {
    expect(Object.keys(publicJwk('{"kty":"RSA"}', { alg: true }) ?? {})).toEqual(["kty"]);
  });
});
