import { describe, expect, test } from "vitest";
import { CallbackKind as RpcKind } from "../../gen/dcm/v1/callback_pb.ts";
import { claims } from "../../gen/rest/operations.ts";
import { callbackBodies, callbackHeaders, callbackKinds, webhookOf, webhooks } from "../../gen/rest/webhooks.ts";
import { webhooksModule } from "../../scripts/webhookModule.ts";
import { statusOutcome } from "../../src/callbacks/outcomes.ts";
import { outcomeClasses } from "../../src/domain/callback.ts";
import { callbackUrlNames } from "../../src/domain/participant.ts";
import { openapi } from "../rest/fixture.ts";

type Node = { [key: string]: unknown };
type Document = Parameters<typeof webhooksModule>[0];
const copy = () => structuredClone(openapi) as unknown as Document;
const { schemas } = openapi.components as unknown as { schemas: Record<string, { enum?: string[] }> };

describe("one list of callbacks", () => {
  test("webhooks, missed callbacks, the domain's table and the RPC's enum have the same kinds", () => {
    const kinds = [...callbackKinds].sort();
    const documented = openapi.webhooks as Record<string, { post: { "x-dcm-callback": { kinds: string[] } } }>;
    expect(
      Object.values(documented)
        .flatMap(({ post }) => post["x-dcm-callback"].kinds)
        .sort(),
    ).toEqual(kinds);
    expect([...(schemas.MissedCallbackKind?.enum ?? [])].sort()).toEqual(kinds);
    const names = Object.keys(RpcKind).filter((name) => /^[A-Z_]+$/.test(name) && name !== "UNSPECIFIED");
    expect(names.map((name) => name.toLowerCase()).sort()).toEqual(kinds);
  });

  test("every URL that a participant can register is used by a webhook, and webhooks use no other", () => {
    const used = new Set<string>(Object.values(webhooks).flatMap(({ urls }) => [...urls]));
    expect([...used].sort()).toEqual([...callbackUrlNames].sort());
  });

  test("every webhook's body is validated by its own claims", () => {
    for (const webhook of Object.values(webhooks)) expect(claims).toHaveProperty(webhook.claims);
  });
});

/** What a status counts as at a webhook: a code of its own goes before its class. */
function documentedAnswer(kind: keyof typeof webhookOf, status: number): string | undefined {
  const answers: Record<string, string> = webhooks[webhookOf[kind]].answers;
  return answers[status] ?? answers[`${Math.floor(status / 100)}XX`];
}

test.each(callbackKinds)("%s: every status counts as what the document says", (kind) => {
  for (let status = 200; status < 600; status += 1) {
    expect([status, outcomeClasses[statusOutcome(status)]]).toEqual([status, documentedAnswer(kind, status)]);
  }
});

describe("the generator", () => {
  /** A value deep in a document. */
  const at = (document: Document, ...steps: string[]) =>
    steps.reduce<Node>((node, step) => node[step] as Node, document as unknown as Node);

  test("a renamed header is renamed for the sender and for the receiver, who have it from one place", () => {
    const document = copy();
    at(document, "components", "parameters", "CallbackGuidHeader").name = "X-Callback-Id";
    expect(webhooksModule(document)).toContain('"CallbackGuidHeader": "X-Callback-Id"');
    expect(Object.values(callbackHeaders)).toEqual(["Cx-Authorization", "X-Callback-Guid", "X-Callback-Kind"]);
    expect(callbackBodies.envelope).toMatchObject({ type: "application/json", member: "jwt" });
  });

  const changes: [what: string, change: (document: Document) => void, problem: RegExp][] = [
    [
      "a webhook whose name is not its operationId",
      (d) => (at(d, "webhooks", "credit", "post").operationId = "x"),
      /credit/,
    ],
    [
      "a header at one webhook alone",
      (d) => (at(d, "webhooks", "credit", "post").parameters as Node[]).pop(),
      /headers/,
    ],
    [
      "another content type at one webhook",
      (d) => {
        const content = at(d, "webhooks", "credit", "post", "requestBody", "content");
        content["application/jose"] = content["text/plain"];
        delete content["text/plain"];
      },
      /bodies of the form bare/,
    ],
    ["no row for redirects", (d) => delete at(d, "webhooks", "credit", "post", "responses")["3XX"], /3XX/],
    [
      "an answer that counts as nothing",
      (d) => delete at(d, "components", "responses", "CallbackRefused")["x-dcm-answer"],
      /x-dcm-answer/,
    ],
    [
      "a word that the header may not have",
      (d) => (at(d, "webhooks", "credit", "post", "x-dcm-callback").word = "x"),
      /word/,
    ],
    [
      "a kind that no missed callback has",
      (d) => (at(d, "webhooks", "credit", "post", "x-dcm-callback").kinds = ["credit", "debit"]),
      /MissedCallbackKind/,
    ],
  ];

  test.each(changes)("%s is refused", (_what, change, problem) => {
    const document = copy();
    change(document);
    expect(() => webhooksModule(document)).toThrow(problem);
  });
});
