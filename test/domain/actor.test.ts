import { expect, test } from "vitest";
import { type Actor, actorName, platformActor } from "../../src/domain/actor.ts";
import { credentialProblem, type Scope } from "../../src/domain/credential.ts";
import { isRefusal, refuse } from "../../src/domain/errors.ts";

const actors = [
  [{ kind: "bank", bank: { guid: "bank-guid" } }, "bank-guid"],
  [{ kind: "merchant", merchant: { guid: "merchant-guid" } }, "merchant-guid"],
  [{ kind: "service", name: "olena", scopes: ["operator"] }, "olena"],
  [platformActor, "platform"],
] as unknown as [Actor, string][];

test.each(actors)("actorName: $kind is written down as what tells it from all others", (actor, name) => {
  expect(actorName(actor)).toBe(name);
});

test.each<[name: string, scopes: Scope[], field: string | undefined]>([
  ["a", ["reader"], undefined],
  ["gateway-1.kyiv_2", ["gateway", "operator"], undefined],
  ["a".repeat(64), ["reader"], undefined],
  ["a".repeat(65), ["reader"], "name"],
  ["", ["reader"], "name"],
  ["Olena", ["reader"], "name"],
  ["-olena", ["reader"], "name"],
  ["olena ", ["reader"], "name"],
  [" olena", ["reader"], "name"],
  ["olena", [], "scopes"],
])("credentialProblem: a credential %j with the scopes %j is refused for its %s", (name, scopes, field) => {
  const message = {
    name: "name must have 1 to 64 small letters, digits, dots, dashes and underscores",
    scopes: "scopes is missing",
  }[field as "name" | "scopes"];
  expect(credentialProblem({ name, scopes })).toEqual(field && { refused: "INVALID_REQUEST", message, field });
});

test("platformActor: the platform's own acts are told from everybody's", () => {
  expect(platformActor).toEqual({ kind: "platform" });
});

test.each([
  [refuse("FORBIDDEN", "no"), true],
  [{ message: "no" }, false],
  [null, false],
  [undefined, false],
  ["refused", false],
])("isRefusal: %j: %s", (value, is) => {
  expect(isRefusal(value)).toBe(is);
});
