import { expect, test } from "vitest";
import { databaseFailure } from "../../src/db/failure.ts";

const withCode = (code: string) => Object.assign(new Error("as the driver says it"), { code });

test.each([
  ["23505", "lost_race"],
  ["40001", "lost_race"],
  ["40P01", "lost_race"],
  ["55P03", "held_up"],
  ["57014", "held_up"],
  ["57P01", "unavailable"],
  ["57P03", "unavailable"],
  ["08006", "unavailable"],
  ["53300", "unavailable"],
  ["25006", "unavailable"],
  ["EAI_AGAIN", "unavailable"],
  ["ENOTFOUND", "unavailable"],
  ["ENETUNREACH", "unavailable"],
  ["EHOSTUNREACH", "unavailable"],
  ["ECONNREFUSED", "unavailable"],
  ["ECONNRESET", "unavailable"],
  ["ETIMEDOUT", "unavailable"],
  ["23514", "other"],
  ["22P02", "other"],
  ["0A000", "other"],
  ["28P01", "other"],
  ["3D000", "other"],
])("the code %s means %s", (code, failure) => {
  expect(databaseFailure(withCode(code))).toBe(failure);
});

test.each([
  ["Connection terminated unexpectedly", "unavailable"],
  ["timeout exceeded when trying to connect", "unavailable"],
  ["PostgreSQL gave no answer within 35000 ms", "unavailable"],
  ["Cannot read properties of undefined", "other"],
])("%j, without a code, means %s", (message, failure) => {
  expect(databaseFailure(new Error(message))).toBe(failure);
});

test("a name with several addresses that all fail is as the first of them", () => {
  expect(databaseFailure(new AggregateError([withCode("ENETUNREACH"), withCode("ECONNREFUSED")]))).toBe("unavailable");
});

test.each([undefined, null, "text", 5, {}])("%j is no failure of the database", (error) => {
  expect(databaseFailure(error)).toBe("other");
});
