import { expect, test } from "vitest";
import { startOtlpTracing } from "../../src/observe/otlpTracing.ts";
import { noTracing } from "../../src/observe/tracing.ts";
import type { Ticket } from "../../src/queue/queue.ts";
import { encodeTickets, readTickets } from "../../src/queue/ticket.ts";
import { startPlatform } from "../support/platform.ts";
import { type ReceivedSpan, startCollector } from "./collector.ts";

const attribute = (span: ReceivedSpan, key: string) =>
  Object.values(span.attributes.find((candidate) => candidate.key === key)?.value ?? {})[0];

test("traces: one trace leads from the submission over the core and the queue to every callback of its cascade", async () => {
  await using collector = await startCollector();
  const platform = await startPlatform({ environment: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  platform.merchant.answers("pay-in", 503, 204);
  const guid = await platform.pays();
  await platform.endsAllCallbacks();
  // What was not sent yet is sent at the end.
  await platform[Symbol.asyncDispose]();

  const spans = collector.spans();
  const submission = spans.find(({ name }) => name.startsWith("submitPaymentMessage"));
  if (submission === undefined) throw new Error("the submission has no span");
  expect(submission.parentSpanId).toBeFalsy();
  const trace = spans.filter(({ traceId }) => traceId === submission.traceId);
  const known = new Set(trace.map(({ spanId }) => spanId));
  expect(trace.filter((span) => span !== submission && !known.has(span.parentSpanId ?? ""))).toEqual([]);

  const rpc = trace.find(({ name }) => name === "dcm.v1.PaymentMessageService/SubmitPaymentMessage");
  expect(rpc?.parentSpanId).toBe(submission.spanId);
  const attempts = trace.filter(({ name }) => name === "callback");
  expect(attempts.map((span) => attribute(span, "dcm.kind")).sort()).toEqual([
    "credit",
    "pay_in_bank",
    "pay_in_merchant",
    "pay_in_merchant",
    "pay_out",
  ]);
  expect(new Set(attempts.map((span) => attribute(span, "dcm.payment_message_guid")))).toEqual(new Set([guid]));
  const posts = trace.filter(({ name }) => name === "POST callback");
  expect(posts.map((span) => attribute(span, "dcm.outcome")).sort()).toEqual([
    ...Array.from({ length: 4 }, () => "accepted"),
    "server_error",
  ]);
  expect(new Set(posts.map(({ parentSpanId }) => parentSpanId))).toEqual(new Set(attempts.map(({ spanId }) => spanId)));
});

test("traces: no token, no key and no personal data leaves in them", async () => {
  await using collector = await startCollector();
  const platform = await startPlatform({ environment: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  await platform.pays();
  await platform.endsAllCallbacks();
  const [message] = await platform.rows<Record<string, string>>("select * from payment_message");
  await platform[Symbol.asyncDispose]();
  const text = collector.text();
  expect(text).toContain(message?.guid);
  // Every JWS and every JWK begins with a JSON object in base64url.
  expect(text).not.toMatch(/eyJ[\w-]/);
  for (const name of [
    "debtor_name",
    "debtor_tax_number",
    "debtor_account",
    "creditor_name",
    "nonce",
    "encrypted_key",
  ]) {
    expect(text, name).not.toContain(message?.[name]);
  }
});

test("traces: a caller's traceparent that is none begins a trace of its own", async () => {
  await using collector = await startCollector();
  const tracing = startOtlpTracing(collector.url, "test");
  const bad = [
    "",
    "00-zz-1-01",
    `00-${"0".repeat(32)}-${"1".repeat(16)}-01`,
    `00-${"1".repeat(32)}-${"0".repeat(16)}-01`,
  ];
  for (const parent of bad) await tracing.inSpan({ name: "bad", kind: "server", parent }, async () => undefined);
  const parent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  await tracing.inSpan({ name: "good", kind: "server", parent }, async () => {
    expect(tracing.current()).toMatch(/^00-a{32}-[0-9a-f]{16}-01$/);
  });
  await expect(
    tracing.inSpan({ name: "failing", kind: "server" }, async () => {
      throw new Error("a secret");
    }),
  ).rejects.toThrow("a secret");
  await tracing.stop();
  const spans = collector.spans();
  expect(spans.filter(({ name }) => name === "bad").map(({ parentSpanId }) => parentSpanId ?? "")).toEqual(
    bad.map(() => ""),
  );
  expect(spans.find(({ name }) => name === "good")).toMatchObject({
    traceId: "a".repeat(32),
    parentSpanId: "b".repeat(16),
  });
  expect(collector.text()).not.toContain("a secret");
});

test("traces: without a collector nothing is passed on", async () => {
  await noTracing.inSpan({ name: "any", kind: "server" }, async () => expect(noTracing.current()).toBeUndefined());
});

test("tickets: the trace travels with them; one that is none costs the trace and not the ticket", () => {
  const guid = "01890000-0000-7000-8000-000000000001";
  const ticket = { callbackGuid: guid, series: 1, attempt: 0, receiverGuid: guid };
  const trace = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const through = (given: object) => readTickets(JSON.parse(String(encodeTickets([given as Ticket])[0])))?.[0];
  expect(through({ ...ticket, trace })).toEqual({ ...ticket, trace });
  expect(through(ticket)).toEqual(ticket);
  for (const bad of ["", "x".repeat(10_000), 7, null, { toString: trace }]) {
    expect(through({ ...ticket, trace: bad })).toEqual(ticket);
  }
});
