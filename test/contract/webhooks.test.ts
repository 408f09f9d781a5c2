import { describe, expect, test } from "vitest";
import { CallbackKind as RpcKind } from "../../gen/dcm/v1/callback_pb.ts";
import { errorTexts, operationErrorTexts } from "../../gen/rest/errorTexts.ts";
import { claims } from "../../gen/rest/operations.ts";
import {
  callbackBodies,
  callbackHeaders,
  callbackKinds,
  reasons,
  retryPolicy,
  webhookOf,
  webhooks,
} from "../../gen/rest/webhooks.ts";
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
    const documented = openapi.webhooks as Record<string, { post: { "x-dcm-callback": { kinds: object } } }>;
    expect(
      Object.values(documented)
        .flatMap(({ post }) => Object.keys(post["x-dcm-callback"].kinds))
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

test("every error of an example says letter by letter what its code says", () => {
  const errors: { code: string; text: string; pointer: string }[] = [];
  const collect = (value: unknown, pointer: string, id: string | undefined): void => {
    if (typeof value !== "object" || value === null) return;
    const node = value as Record<string, unknown>;
    const operation = typeof node.operationId === "string" ? node.operationId : id;
    if (typeof node.error === "string") {
      const [code, text] = typeof node.code === "string" ? [node.code, node.error] : [node.error, node.description];
      const own: Record<string, string> | undefined = (operationErrorTexts as Record<string, object>)[
        operation ?? ""
      ] as never;
      const exact = own?.[code] ?? (errorTexts as Record<string, string>)[code];
      if (exact !== undefined) errors.push({ code, text: String(text), pointer });
      if (exact !== undefined) expect(text, pointer).toBe(exact);
    }
    for (const [name, part] of Object.entries(node)) collect(part, `${pointer}/${name}`, operation);
  };
  collect(openapi.paths, "#/paths", undefined);
  collect(openapi.components.responses, "#/components/responses", undefined);
  expect(new Set(errors.map(({ code }) => code))).toContain("PAYMENT_MESSAGE_EXISTS");
  expect(errors.length).toBeGreaterThan(10);
});

test("what the documents print letter by letter", () => {
  expect(errorTexts).toMatchObject({
    PAYMENT_MESSAGE_EXISTS: "payment message with provided order id already exists",
    JTI_IS_ALREADY_TAKEN: "payment message with provided jti already exists",
    PAYMENT_MESSAGE_NOT_FOUND: "not found",
    AUTHORIZATION_FAILED: "Access credentials are invalid",
  });
  expect(reasons).toMatchObject({
    PayOutSuccessReason: "Payment message is approved by the receiver's bank. Merchant is informed by the callback",
    CreditReason: "Credit is allowed",
    PaymentMessageSuccessReason: "Payment message is approved",
    OrderPaidReason: "Order is paid",
    OrderExpiredReason: "Order is expired",
    RejectReason: { merchant: "No response on the callback from the merchant" },
  });
  expect(webhooks.expiration.constants).toMatchObject({ code: 4001, amount_matched: "null", status: "reject" });
  expect(retryPolicy.token_life_seconds).toBe(300);
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
      (d) => {
        const kinds = at(d, "webhooks", "credit", "post", "x-dcm-callback", "kinds");
        kinds.debit = kinds.credit;
      },
      /MissedCallbackKind/,
    ],
    [
      "a kind of which nobody knows what follows from silence",
      (d) => delete at(d, "webhooks", "credit", "post", "x-dcm-callback", "kinds", "credit").unanswered,
      /answers of credit/,
    ],
    [
      "an effect that is explained nowhere",
      (d) => (at(d, "webhooks", "credit", "post", "x-dcm-callback", "kinds", "credit", "refused").effect = "reverse"),
      /explain never|explain .*reverse/,
    ],
    [
      "a reason without a name",
      (d) => (at(d, "components", "schemas", "RejectReason")["x-enum-varnames"] = ["a"]),
      /RejectReason/,
    ],
  ];

  test.each(changes)("%s is refused", (_what, change, problem) => {
    const document = copy();
    change(document);
    expect(() => webhooksModule(document)).toThrow(problem);
  });
});
