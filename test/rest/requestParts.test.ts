import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Request } from "express";
import { describe, expect, test } from "vitest";
import { deprecationHeaders } from "../../src/rest/deprecation.ts";
import { RestRefusal } from "../../src/rest/errors.ts";
import { partyCall } from "../../src/rest/partyCall.ts";
import { timestampOfQuery } from "../../src/rest/queryTime.ts";
import { keepBodyBytes, requestDigest } from "../../src/rest/requestBytes.ts";
import { pathOf } from "../../src/rest/requestUrl.ts";
import { validateBareBody, validatePart } from "../../src/rest/validate.ts";

// The parts of a request, each by itself.

/** The refusal that some work ends with. */
function refusalOf(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof RestRefusal) return { code: error.code, ...error.details };
    throw error;
  }
  return undefined;
}

describe("an instant in a query", () => {
  test.each([
    ["2023-12-10", "2023-12-09T22:00:00.000Z"],
    ["2023-07-10", "2023-07-09T21:00:00.000Z"],
    ["2024-02-29", "2024-02-28T22:00:00.000Z"],
    ["2023-12-10T10:00:00Z", "2023-12-10T10:00:00.000Z"],
    ["2023-12-10T10:00:00z03:00", "2023-12-10T07:00:00.000Z"],
    ["2023-12-10T10:00:00Z-03:00", "2023-12-10T13:00:00.000Z"],
    ["2023-12-10T10:00:00-03:00", "2023-12-10T13:00:00.000Z"],
    ["2023-12-10T10:00:00.5Z03:00", "2023-12-10T07:00:00.500Z"],
    ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"],
  ])("%s is %s", (text, instant) => {
    expect(timestampDate(timestampOfQuery(text, "since")).toISOString()).toBe(instant);
  });

  test.each([
    ...["2023-02-30", "2023-13-01", "1970-01-01", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.001Z"],
    ...["yesterday", "", "2023-12-10T10:00:00Z03:00x", "2023-12-10T25:00:00Z", "2023-12-10T10:00:00Z30:00"],
    "x\n2023-12-10T10:00:00Z03:00",
  ])("%s is none, and is refused by the parameter's name", (text) => {
    const problem = "since is not a date or an instant";
    expect(refusalOf(() => timestampOfQuery(text, "since"))).toEqual({
      code: "INVALID_REQUEST",
      text: problem,
      field: "since",
    });
  });
});

test.each([
  ["/a?b=//c", "/a?b=//c"],
  ["//a//b", "/a//b"],
  ["http://x/a", "/a"],
  ["HTTPS://x:80///a", "/a"],
  ["https://u@x/a?q", "/a?q"],
  ["ftp://x/a", "ftp://x/a"],
  ["http://x", "http://x"],
  ["http://x?/a", "http://x?/a"],
  ["http://x#/a", "http://x#/a"],
  ["/http://x/a", "/http://x/a"],
  ["", ""],
])("the path of %s is %s", (url, path) => {
  expect(pathOf(url)).toBe(path);
});

type Parts = { method?: string; path?: string; query?: string; body?: string; token?: string };

/** As much of a request as is looked at here. */
function requestOf({ method = "POST", path = "/a", query, body, token }: Parts): Request {
  const originalUrl = query === undefined ? path : `${path}?${query}`;
  const get = (name: string) => (name === "cx-authorization" ? token : undefined);
  const request = { method, path, originalUrl, get } as unknown as Request;
  if (body !== undefined) keepBodyBytes(request, undefined, Buffer.from(body));
  return request;
}

describe("the digest of a request", () => {
  const digest = (parts: Parts) => requestDigest(requestOf(parts)).toString("hex");

  test("is the same for the same method, path, query and body", () => {
    const parts = { method: "POST", path: "/a", query: "x=1", body: "{}" };
    expect(digest(parts)).toBe(digest({ ...parts }));
    expect(digest(parts)).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each<[what: string, one: Parts, other: Parts]>([
    ["method", {}, { method: "PUT" }],
    ["path", {}, { path: "/b" }],
    ["query", { query: "x" }, { query: "y" }],
    ["last letter of the query", { query: "x=1" }, { query: "x=2" }],
    ["body", { body: "x" }, { body: "y" }],
    ["place of the same text", { query: "x" }, { body: "x" }],
    ["border between two parts", { path: "/a", query: "bc" }, { path: "/ab", query: "c" }],
  ])("differs by the %s", (_what, one, other) => {
    expect(digest(one)).not.toBe(digest(other));
  });

  test("takes no query for an empty one, and no body for an empty one", () => {
    expect(digest({ query: "", body: "" })).toBe(digest({}));
  });
});

describe("what the core is told of a bank's or merchant's call", () => {
  test("the token, the request's id and the party of the path; of what changes something the digest, too", () => {
    const request = requestOf({ token: "t", body: "{}" });
    const read = partyCall(request, "id", false, "guid");
    const named = { "dcm-request-id": "id", "cx-authorization": "t" };
    expect(read.headers).toEqual({ ...named, "dcm-counterparty": "guid" });
    expect(read.timeoutMs).toBeGreaterThan(0);
    expect(partyCall(request, "id", true, undefined).headers).toEqual({
      ...named,
      "dcm-request-digest": requestDigest(request).toString("base64url"),
    });
  });

  test("an empty token is told, and one that is missing is refused here: the core would take the call for our own", () => {
    expect(partyCall(requestOf({ token: "" }), "id", false, undefined).headers["cx-authorization"]).toBe("");
    expect(refusalOf(() => partyCall(requestOf({}), "id", false, undefined))).toEqual({ code: "AUTHORIZATION_FAILED" });
  });
});

test("a deprecated operation says since when, its successor, and its sunset once that is fixed", () => {
  const deprecation = { sinceSeconds: 1_795_737_600, successorPointer: "#/paths/~1a/post" };
  const said = deprecationHeaders("submitAlias", deprecation, "https://dcm.example");
  expect(said).toEqual({
    Deprecation: "@1795737600",
    Link:
      '<https://dcm.example/docs#submitAlias>; rel="deprecation"; type="text/html", ' +
      '<https://dcm.example/openapi.json#/paths/~1a/post>; rel="successor-version"; type="application/json"',
  });
  const fixed = deprecationHeaders("submitAlias", { ...deprecation, sunsetSeconds: 1_800_000_000 }, "");
  expect(fixed.Sunset).toBe("Fri, 15 Jan 2027 08:00:00 GMT");
});

describe("the shape of a request", () => {
  test("a query parameter that is given twice is refused as that, a body's list as what it is", () => {
    expect(refusalOf(() => validatePart("listGrossSettlements", "query", { limit: ["1", "2"] }))).toEqual({
      ...{ code: "INVALID_REQUEST", field: "limit", text: "limit is given twice" },
    });
    expect(refusalOf(() => validatePart("submitPaymentMessage", "body", { jwt: ["a"] }))).toEqual({
      ...{ code: "INVALID_REQUEST", field: "jwt", text: "jwt must be string" },
    });
  });

  test("query texts become what the contract declares", () => {
    const query = { limit: "7" };
    validatePart("listGrossSettlements", "query", query);
    expect(query).toEqual({ limit: 7, offset: 0, role: "Debtor" });
  });

  test.each<[body: object, field: string, text: string]>([
    [{ jwt: 7 }, "jwt", "jwt must be string"],
    [{}, "payment_message_external_id", "payment_message_external_id is missing"],
  ])("of two forms the one that fits furthest was meant, and else the first one: %j", (body, field, text) => {
    expect(refusalOf(() => validatePart("payGrossSettlement", "body", body))).toEqual({
      ...{ code: "INVALID_REQUEST", field, text },
    });
  });

  test("a part that the contract does not describe is not judged", () => {
    expect(refusalOf(() => validatePart("getHealth", "query", { x: 1 }))).toBeUndefined();
    expect(refusalOf(() => validateBareBody("getHealth", "x"))).toBeUndefined();
  });

  const notAJws = "the body is not a compact JWS";
  test.each([
    ["a.b.c", undefined],
    ["nothing like it", notAJws],
    [' {"jwt":"a.b.c"}', `${notAJws}; JSON is sent as application/json`],
    ["x{", notAJws],
  ])("a body by itself has to be a token: %s", (text, problem) => {
    expect(refusalOf(() => validateBareBody("submitPaymentMessage", text))?.text).toBe(problem);
  });
});
