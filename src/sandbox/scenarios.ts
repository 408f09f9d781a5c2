import type { CallbackPath, Reply } from "./inbox.ts";

export type Party = "initiator" | "recipient" | "merchant";

/** A callback that a payment must have delivered by its end, exactly once. */
export type Delivery = { to: Party; kind: CallbackPath; status: "success" | "reject"; reason?: string };

export type Scenario = {
  summary: string;
  /** Answers other than 200; callbacks about a reject are always answered 200. */
  answers: readonly { by: Party; kind: CallbackPath; reply: Reply }[];
  deliveries: readonly Delivery[];
  result: "success" | "reject";
  /** How often the merchant is called for one payment: "every" is the first attempt and all retries. */
  merchantCalls: 0 | 1 | "every";
};

export const SCENARIO_NAMES = ["happy", "merchant-rejects", "merchant-down", "bank-rejects"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

const APPROVED = "Payment message is approved by the receiver's bank. Merchant is informed by the callback";
const NO_MERCHANT = "No response on the callback from the merchant";
const BANK_REJECTED = "Payment message is rejected by the receiver's bank";

/** After a refusal or silence of the merchant, the recipient bank, which had accepted, is told of the reject, too. */
const REJECTED_AFTER_THE_BANK_AGREED: readonly Delivery[] = [
  { to: "recipient", kind: "pay-in", status: "success" },
  { to: "initiator", kind: "pay-out", status: "reject", reason: NO_MERCHANT },
  { to: "recipient", kind: "pay-in", status: "reject", reason: NO_MERCHANT },
];

/** Every ending of a payment that the sandbox can show, and the callbacks that must then have been delivered. */
export const SCENARIOS: Record<ScenarioName, Scenario> = {
  happy: {
    summary: "everyone answers 200; the payment succeeds",
    answers: [],
    deliveries: [
      { to: "recipient", kind: "pay-in", status: "success" },
      { to: "merchant", kind: "pay-in", status: "success" },
      { to: "initiator", kind: "pay-out", status: "success", reason: APPROVED },
      { to: "recipient", kind: "credit", status: "success", reason: "Credit is allowed" },
    ],
    result: "success",
    merchantCalls: 1,
  },
  "merchant-rejects": {
    summary: "the merchant answers 422; rejected at once",
    answers: [{ by: "merchant", kind: "pay-in", reply: 422 }],
    deliveries: REJECTED_AFTER_THE_BANK_AGREED,
    result: "reject",
    merchantCalls: 1,
  },
  "merchant-down": {
    summary: "the merchant answers 503 until the retries are used up; then rejected",
    answers: [{ by: "merchant", kind: "pay-in", reply: 503 }],
    deliveries: [
      ...REJECTED_AFTER_THE_BANK_AGREED,
      { to: "merchant", kind: "pay-in", status: "reject", reason: NO_MERCHANT },
    ],
    result: "reject",
    merchantCalls: "every",
  },
  "bank-rejects": {
    summary: "the recipient bank answers 422; rejected before the merchant is asked",
    answers: [{ by: "recipient", kind: "pay-in", reply: 422 }],
    deliveries: [
      { to: "initiator", kind: "pay-out", status: "reject", reason: BANK_REJECTED },
      { to: "merchant", kind: "pay-in", status: "reject", reason: BANK_REJECTED },
    ],
    result: "reject",
    merchantCalls: 0,
  },
};
