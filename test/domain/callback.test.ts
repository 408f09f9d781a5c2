import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CALLBACKS_PAGE, outcomeTableMarkdown, renewCallbacksPage } from "../../scripts/outcome-table.ts";
import {
  type AttemptInput,
  afterAttempt,
  CALLBACK_KINDS,
  type CallbackKind,
  type CascadeEvent,
  consequencesOf,
  type Decision,
  defaultRetryPolicy,
  EFFECTS,
  OUTCOMES,
  type Outcome,
  retryDelayMs,
} from "../../src/domain/callback.ts";

const LAST = defaultRetryPolicy.maxAttempts;

function decide(input: Partial<AttemptInput> & { kind: CallbackKind; outcome: Outcome }): Decision {
  return afterAttempt({ attempt: 1, series: 1, refusals: 0, policy: defaultRetryPolicy, ...input });
}

/** "state/effect", the whole of a decision that the contract speaks of. */
function brief(decision: Decision): string {
  return decision.effect === "none" ? decision.state : `${decision.state}/${decision.effect}`;
}

/** The contract's table written out by hand: first attempt, and last attempt. */
const contract: Record<CallbackKind, Record<"accepted" | "refused" | "other", [first: string, last: string]>> = {
  pay_in_bank: {
    accepted: ["delivered/advance", "delivered/advance"],
    refused: ["failed/reject_by_bank_answer", "failed/reject_by_bank_answer"],
    other: ["waiting", "failed/reject_by_bank_silence"],
  },
  pay_in_merchant: {
    accepted: ["delivered/succeed", "delivered/succeed"],
    refused: ["failed/reject_by_merchant_answer", "failed/reject_by_merchant_answer"],
    other: ["waiting", "failed/reject_by_merchant_silence"],
  },
  pay_out: { accepted: ["delivered", "delivered"], refused: ["waiting", "review"], other: ["waiting", "review"] },
  credit: { accepted: ["delivered", "delivered"], refused: ["waiting", "review"], other: ["waiting", "review"] },
  pay_in_bank_reject: {
    accepted: ["delivered", "delivered"],
    refused: ["waiting", "review"],
    other: ["waiting", "review"],
  },
  pay_in_merchant_reject: {
    accepted: ["delivered", "delivered"],
    refused: ["waiting", "review"],
    other: ["waiting", "review"],
  },
  expiration: { accepted: ["delivered", "delivered"], refused: ["waiting", "review"], other: ["waiting", "review"] },
  gross_settlement: {
    accepted: ["delivered", "delivered"],
    refused: ["waiting", "review"],
    other: ["waiting", "review"],
  },
};

const everyPair = CALLBACK_KINDS.flatMap((kind) => OUTCOMES.map((outcome) => [kind, outcome] as const));

describe("afterAttempt: every kind and outcome", () => {
  test.each(everyPair)("%s ends %s as the contract's table says", (kind, outcome) => {
    const column = outcome === "accepted" || outcome === "refused" ? outcome : "other";
    const [first, last] = contract[kind][column];
    expect(brief(decide({ kind, outcome }))).toBe(first);
    expect(brief(decide({ kind, outcome, attempt: LAST }))).toBe(last);
  });

  test.each(everyPair)("%s, %s: a replay has no effect, and a replay that fails is for a person", (kind, outcome) => {
    const column = outcome === "accepted" || outcome === "refused" ? outcome : "other";
    for (const [place, attempt] of [1, LAST].entries()) {
      const first = String(contract[kind][column][place]).split("/")[0];
      const decision = decide({ kind, outcome, attempt, series: 2 });
      expect(decision).toMatchObject({ state: first === "failed" ? "review" : first, effect: "none" });
    }
  });
});

test.each(["pay_out", "credit"] as const)("afterAttempt: the second 4xx of a %s goes to a person at once", (kind) => {
  expect(decide({ kind, outcome: "refused", attempt: 2, refusals: 0 }).state).toBe("waiting");
  expect(decide({ kind, outcome: "refused", attempt: 2, refusals: 1 })).toEqual({
    state: "review",
    effect: "none",
  });
  expect(decide({ kind, outcome: "server_error", attempt: 3, refusals: 1 }).state).toBe("waiting");
});

test.each(["pay_in_bank_reject", "pay_in_merchant_reject", "expiration", "gross_settlement"] as const)(
  "afterAttempt: a %s is retried to the last however often it is refused",
  (kind) => {
    expect(decide({ kind, outcome: "refused", attempt: LAST - 1, refusals: LAST - 2 }).state).toBe("waiting");
    expect(decide({ kind, outcome: "refused", attempt: LAST, refusals: LAST - 1 }).state).toBe("review");
  },
);

test("defaultRetryPolicy: the documented numbers, in milliseconds", () => {
  expect(defaultRetryPolicy).toEqual({
    waitsMs: [1, 2, 4, 8, 16, 32, 60].map((seconds) => seconds * 1_000),
    maxAttempts: 11,
    attemptTimeoutMs: 10_000,
    maxRetryAfterMs: 60_000,
  });
});

test("afterAttempt: an attempt that is not counted from 1 is a bug and throws", () => {
  expect(() => decide({ kind: "credit", outcome: "lost", attempt: 0 })).toThrow(
    new RangeError("attempts count from 1, not 0"),
  );
  expect(() => decide({ kind: "credit", outcome: "lost", attempt: 1.5 })).toThrow(RangeError);
});

describe("retryDelayMs", () => {
  const waits = Array.from({ length: LAST - 1 }, (_, index) => retryDelayMs(defaultRetryPolicy, index + 1, 0));

  test("the waits are 1, 2, 4, 8, 16, 32 and then 60 seconds, 303 in all", () => {
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((seconds) => seconds * 1000));
    expect(waits.reduce((sum, wait) => sum + wait, 0)).toBe(303_000);
  });

  test("a wait is never shorter than the table's, nor than what was asked for up to 60 seconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), fc.double({ min: 0, max: 1e9, noNaN: true }), (attempt, askedMs) => {
        const delayMs = retryDelayMs(defaultRetryPolicy, attempt, askedMs);
        expect(delayMs).toBeGreaterThanOrEqual(waits[attempt - 1] ?? 0);
        expect(delayMs).toBeGreaterThanOrEqual(Math.min(askedMs, 60_000));
        expect(delayMs).toBeLessThanOrEqual(60_000);
      }),
    );
  });

  test.each([
    [1, 5_000, 5_000],
    [1, 500, 1_000],
    [1, 86_400_000, 60_000],
    [7, 30_000, 60_000],
    [1, Number.MAX_SAFE_INTEGER, 60_000],
    [1, 1_000.2, 1_001],
    [1, -5, 1_000],
  ])("after attempt %d a Retry-After of %d ms makes the wait %d ms", (attempt, retryAfterMs, delayMs) => {
    expect(retryDelayMs(defaultRetryPolicy, attempt, retryAfterMs)).toBe(delayMs);
  });
});

test("afterAttempt: any run of outcomes makes at most 11 attempts, one end and at most one effect", () => {
  const anyRun = fc.record({
    kind: fc.constantFrom(...CALLBACK_KINDS),
    series: fc.integer({ min: 1, max: 3 }),
    outcomes: fc.array(fc.constantFrom(...OUTCOMES), { minLength: 30, maxLength: 30 }),
    retryAfterMs: fc.option(fc.nat(), { nil: undefined }),
  });
  fc.assert(
    fc.property(anyRun, ({ kind, series, outcomes, retryAfterMs }) => {
      const decisions: Decision[] = [];
      let refusals = 0;
      for (const [index, outcome] of outcomes.entries()) {
        const input = { kind, outcome, series, refusals, retryAfterMs };
        const decision = decide({ ...input, attempt: index + 1 });
        decisions.push(decision);
        if (outcome === "refused") refusals += 1;
        if (decision.state !== "waiting") break;
        expect(decision.delayMs).toBeGreaterThanOrEqual(1_000);
        expect(decision.delayMs).toBeLessThanOrEqual(60_000);
      }
      expect(decisions.length).toBeLessThanOrEqual(LAST);
      expect(decisions.filter((decision) => decision.state !== "waiting")).toHaveLength(1);
      expect(decisions.filter((decision) => decision.effect !== "none").length).toBeLessThanOrEqual(1);
    }),
  );
});

describe("consequencesOf", () => {
  const told = (event: CascadeEvent) => consequencesOf(event).callbacks.map(({ kind, role }) => [kind, role]);

  test("submitting tells the recipient bank first", () => {
    expect(told("submit")).toEqual([["pay_in_bank", "recipient_bank"]]);
  });

  test("the bank's yes tells the merchant and changes nothing else", () => {
    expect(consequencesOf("advance")).toEqual({
      callbacks: [{ kind: "pay_in_merchant", role: "merchant" }],
    });
  });

  test("the merchant's yes is the payment's success", () => {
    expect(consequencesOf("succeed")).toEqual({
      callbacks: [
        {
          kind: "pay_out",
          role: "initiator_bank",
          reasonText: "Payment message is approved by the receiver's bank. Merchant is informed by the callback",
        },
        { kind: "credit", role: "recipient_bank", reasonText: "Credit is allowed" },
      ],
      messageStatus: "success",
      messageReasonText: "Payment message is approved",
    });
  });

  test.each([
    ["reject_by_bank_answer", "Payment message is rejected by the receiver's bank", ["merchant"]],
    ["reject_by_bank_silence", "No response on the callback from the receiver's bank", ["bank", "merchant"]],
    ["reject_by_merchant_answer", "No response on the callback from the merchant", ["bank"]],
    ["reject_by_merchant_silence", "No response on the callback from the merchant", ["bank", "merchant"]],
  ] as const)("%s tells the initiator why, and everyone else whose own no it was not", (effect, reasonText, told) => {
    const following = consequencesOf(effect);
    expect(following).toMatchObject({
      messageStatus: "reject",
      messageReasonText: reasonText,
    });
    expect(following.callbacks[0]).toEqual({ kind: "pay_out", role: "initiator_bank", reasonText });
    const corrections = {
      bank: { kind: "pay_in_bank_reject", role: "recipient_bank" },
      merchant: { kind: "pay_in_merchant_reject", role: "merchant" },
    };
    expect(following.callbacks.slice(1)).toEqual(told.map((party) => corrections[party]));
  });

  test("every effect has a row, and no callback of a payment comes twice along any path", () => {
    const paths: CascadeEvent[][] = [
      ["submit", "advance", "succeed"],
      ["submit", "advance", "reject_by_merchant_answer"],
      ["submit", "advance", "reject_by_merchant_silence"],
      ["submit", "reject_by_bank_answer"],
      ["submit", "reject_by_bank_silence"],
    ];
    for (const effect of EFFECTS) expect(consequencesOf(effect).callbacks).toBeDefined();
    for (const path of paths) {
      const kinds = path.flatMap((event) => consequencesOf(event).callbacks.map((callback) => callback.kind));
      expect(new Set(kinds).size).toBe(kinds.length);
    }
  });
});

test("docs/callbacks.md prints the table that the platform decides by", () => {
  const page = readFileSync(CALLBACKS_PAGE, "utf8");
  expect(page).toContain(outcomeTableMarkdown());
  expect(renewCallbacksPage(page)).toBe(page);
});
