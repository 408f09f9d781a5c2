import { describe, expect, test } from "vitest";
import { deprecationOf } from "../../scripts/deprecation.ts";
import { deprecationHeaders } from "../../src/rest/deprecation.ts";

const successor = { path: "/a/{guid}", method: "post", operation: { operationId: "new" } };
const old = {
  operationId: "old",
  deprecated: true,
  "x-dcm-deprecated-since": "2026-11-27",
  "x-dcm-successor": "new",
};

describe("what the contract says of a deprecated operation", () => {
  test("since when, and where the document has what follows it", () => {
    expect(deprecationOf(old, successor)).toEqual({
      deprecation: { sinceSeconds: 1795737600, successorPointer: "#/paths/~1a~1%7Bguid%7D/post" },
    });
  });

  test("an end at the soonest 12 months later", () => {
    const ends = (day: string) => () => deprecationOf({ ...old, "x-dcm-sunset": day }, successor);
    expect(ends("2027-11-26")).toThrow("less than 12 months");
    expect(ends("2027-11-27")()).toMatchObject({ deprecation: { sunsetSeconds: 1827273600 } });
    expect(ends("2027-02-30")).toThrow("not a day");
  });

  test.each([
    ["no day", { ...old, "x-dcm-deprecated-since": undefined }, successor],
    ["no successor", old, undefined],
    ["a successor that goes as well", old, { ...successor, operation: { ...old, operationId: "new" } }],
  ])("%s: refused", (_what, operation, next) => {
    expect(() => deprecationOf(operation as typeof old, next)).toThrow("old: a deprecated operation needs");
  });

  test("an operation that is not deprecated has no end", () => {
    expect(deprecationOf({ operationId: "new" }, undefined)).toEqual({});
    expect(() => deprecationOf({ operationId: "new", "x-dcm-sunset": "2030-01-01" }, undefined)).toThrow(
      "not deprecated",
    );
  });
});

describe("what its answers say", () => {
  const deprecation = { sinceSeconds: 1795737600, successorPointer: "#/paths/~1a/post" };

  test("Deprecation as RFC 9745 has it, and links", () => {
    expect(deprecationHeaders("old", deprecation, "https://dcm.example")).toEqual({
      Deprecation: "@1795737600",
      Link:
        '<https://dcm.example/docs#old>; rel="deprecation"; type="text/html", ' +
        '<https://dcm.example/openapi.json#/paths/~1a/post>; rel="successor-version"; type="application/json"',
    });
  });

  test("Sunset as RFC 8594 has it, only when the end is fixed", () => {
    expect(deprecationHeaders("old", { ...deprecation, sunsetSeconds: 1827273600 }, "").Sunset).toBe(
      "Sat, 27 Nov 2027 00:00:00 GMT",
    );
  });
});
