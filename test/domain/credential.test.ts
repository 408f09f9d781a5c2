import { expect, test } from "vitest";
import { credentialProblem, type Service } from "../../src/domain/credential.ts";

const service = (changes: Partial<Service>): Service => ({ name: "gateway-1", scopes: ["reader"], ...changes });

test.each(["a", "0", "a.b-c_9", "a".repeat(64)])("credentialProblem: %j is a good name", (name) => {
  expect(credentialProblem(service({ name }))).toBeUndefined();
});

test.each(["", "A", "-a", ".a", "_a", "a b", "a\n", " a", "a".repeat(65)])(
  "credentialProblem: %j is no name",
  (name) => {
    expect(credentialProblem(service({ name }))).toEqual({
      refused: "INVALID_REQUEST",
      message: "name must have 1 to 64 small letters, digits, dots, dashes and underscores",
      field: "name",
    });
  },
);

test("credentialProblem: a service without scopes may do nothing, so it gets no credential", () => {
  expect(credentialProblem(service({ scopes: [] }))).toEqual({
    refused: "INVALID_REQUEST",
    message: "scopes is missing",
    field: "scopes",
  });
});
