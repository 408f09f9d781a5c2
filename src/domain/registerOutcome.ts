import type { RefusalReason } from "./errors.ts";
import {
  type PaymentMatch,
  paymentMatches,
  type RegisterActKind,
  type RegisterKind,
  type RegisterStatus,
} from "./settlement.ts";

/** Who makes a statement about a register. */
export type RegisterCaller = "initiator" | "recipient" | "stranger" | "operator";

/** The statements that can be made about a register; a confirmation is split by its outcome. */
export const registerCalls = ["pay", "confirm_final", "confirm_failed", "confirm_internal", "reopen"] as const;
export type RegisterCall = (typeof registerCalls)[number];

export type RegisterRefusal = Extract<
  RefusalReason,
  | "FORBIDDEN"
  | "REGISTER_NOT_FOUND"
  | "WRONG_DATA"
  | "REGISTER_EMPTY"
  | "REGISTER_INTERNAL"
  | "REGISTER_NOT_INTERNAL"
  | "REGISTER_NOT_PAID"
  | "REGISTER_ALREADY_PAID"
  | "PAYMENT_ID_USED"
>;

/** `act`: the act to store. `repeated`: the call repeats an earlier one and changes nothing; some repeats are stored as acts too. */
export type RegisterOutcome =
  | { act: RegisterActKind; repeated?: true }
  | { repeated: true; act?: undefined }
  | { refused: RegisterRefusal };

const refused = (reason: RegisterRefusal) => ({ refused: reason }) as const;
const repeated = { repeated: true } as const;
const repeatedAct = (act: RegisterActKind) => ({ act, repeated: true }) as const;

type Outcomes = RegisterOutcome | Record<PaymentMatch, RegisterOutcome>;

const everyMatch = (outcome: RegisterOutcome, exceptions: Partial<Record<PaymentMatch, RegisterOutcome>> = {}) => ({
  ...(Object.fromEntries(paymentMatches.map((match) => [match, outcome])) as Record<PaymentMatch, RegisterOutcome>),
  ...exceptions,
});

/** The state of a register, as far as the outcome of a call depends on it. */
type RegisterPosition =
  | "empty"
  | "sent"
  | "processing"
  | "paid"
  | "nothing_to_pay"
  | "internal"
  | "internal_paid"
  | "internal_nothing_to_pay";

type Calls = Record<RegisterCall, Outcomes>;

const sent: Calls = {
  pay: everyMatch(refused("PAYMENT_ID_USED"), { new: { act: "paid" }, new_other_content: refused("WRONG_DATA") }),
  confirm_final: refused("REGISTER_NOT_PAID"),
  confirm_failed: everyMatch(refused("REGISTER_NOT_PAID"), { rejected: repeatedAct("rejected") }),
  confirm_internal: refused("REGISTER_NOT_INTERNAL"),
  reopen: refused("REGISTER_NOT_PAID"),
};

const processing: Calls = {
  pay: everyMatch(refused("PAYMENT_ID_USED"), {
    current: repeated,
    new: refused("REGISTER_ALREADY_PAID"),
    new_other_content: refused("REGISTER_ALREADY_PAID"),
  }),
  confirm_final: everyMatch(refused("WRONG_DATA"), { current: { act: "confirmed" } }),
  confirm_failed: everyMatch(refused("WRONG_DATA"), {
    current: { act: "rejected" },
    rejected: repeatedAct("rejected"),
  }),
  confirm_internal: refused("REGISTER_NOT_INTERNAL"),
  reopen: refused("REGISTER_NOT_PAID"),
};

const paid: Calls = {
  pay: processing.pay,
  confirm_final: everyMatch(refused("WRONG_DATA"), { current: repeatedAct("confirmed") }),
  confirm_failed: everyMatch(refused("WRONG_DATA"), {
    current: refused("REGISTER_ALREADY_PAID"),
    rejected: repeatedAct("rejected"),
  }),
  confirm_internal: refused("REGISTER_NOT_INTERNAL"),
  reopen: { act: "reopened" },
};

const internal: Calls = {
  pay: refused("REGISTER_INTERNAL"),
  confirm_final: refused("REGISTER_INTERNAL"),
  confirm_failed: refused("REGISTER_INTERNAL"),
  confirm_internal: { act: "internal" },
  reopen: refused("REGISTER_NOT_PAID"),
};

const internalPaid: Calls = { ...internal, confirm_internal: repeated, reopen: { act: "reopened" } };

/** Which calls a register accepts, by its position and by how the stated payment relates to the known ones. */
const outcomes: Record<RegisterPosition, Calls> = {
  empty: {
    pay: refused("REGISTER_EMPTY"),
    confirm_final: refused("REGISTER_EMPTY"),
    confirm_failed: refused("REGISTER_EMPTY"),
    confirm_internal: refused("REGISTER_EMPTY"),
    reopen: refused("REGISTER_EMPTY"),
  },
  sent,
  processing,
  paid,
  // There is nothing to pay, so no payment can be confirmed or come back.
  nothing_to_pay: {
    pay: processing.pay,
    confirm_final: refused("REGISTER_ALREADY_PAID"),
    confirm_failed: refused("REGISTER_ALREADY_PAID"),
    confirm_internal: refused("REGISTER_NOT_INTERNAL"),
    reopen: refused("REGISTER_NOT_PAID"),
  },
  internal,
  internal_paid: internalPaid,
  internal_nothing_to_pay: { ...internalPaid, reopen: refused("REGISTER_NOT_PAID") },
};

/** Which caller may make which kind of call; this is checked first. */
const callerProblem: Record<RegisterCaller, Record<"bank" | "operator", RegisterRefusal | undefined>> = {
  initiator: { bank: undefined, operator: "FORBIDDEN" },
  recipient: { bank: "FORBIDDEN", operator: "FORBIDDEN" },
  stranger: { bank: "REGISTER_NOT_FOUND", operator: "REGISTER_NOT_FOUND" },
  operator: { bank: "FORBIDDEN", operator: undefined },
};

function registerPosition(kind: RegisterKind, initial: RegisterStatus, status: RegisterStatus): RegisterPosition {
  if (kind === "empty") return "empty";
  const isInternal = kind === "internal";
  if (initial === "paid") return isInternal ? "internal_nothing_to_pay" : "nothing_to_pay";
  if (isInternal) return status === "paid" ? "internal_paid" : "internal";
  return status === "paid" || status === "processing" ? status : "sent";
}

/**
 * What becomes of a call about a register. The checks come in the order of wire-contract section 7: visible, initiator, kind,
 * repeat, state, content. `match` is used only where the call states a payment.
 */
export function registerOutcome(
  caller: RegisterCaller,
  call: RegisterCall,
  register: { kind: RegisterKind; initial: RegisterStatus; status: RegisterStatus },
  match: PaymentMatch,
): RegisterOutcome {
  const problem = callerProblem[caller][call === "reopen" ? "operator" : "bank"];
  if (problem !== undefined) return refused(problem);
  const row = outcomes[registerPosition(register.kind, register.initial, register.status)][call];
  return "current" in row ? row[match] : row;
}

/** What a confirmation says of the payment: the final statuses of ISO 20022 that a register knows. */
export const finalStatuses = {
  ACSC: "confirm_final",
  ACCC: "confirm_final",
  RJCT: "confirm_failed",
  CANC: "confirm_failed",
} as const;

/** The call that a confirmation's status stands for; undefined for a status that is unknown or not final. */
export function confirmationOf(status: string): "confirm_final" | "confirm_failed" | undefined {
  return Object.hasOwn(finalStatuses, status) ? finalStatuses[status as keyof typeof finalStatuses] : undefined;
}
