import { isCalendarDay } from "./kyiv.ts";

export const registerStatuses = ["sent", "sent_no_pm", "sent_internal", "processing", "paid"] as const;
export type RegisterStatus = (typeof registerStatuses)[number];

/** The exact strings of the documents (wire-contract section 7). */
export const registerStatusText = {
  sent: "Sent",
  sent_no_pm: "Sent (no PM)",
  sent_internal: "Sent (Interbank)",
  processing: "Processing",
  paid: "Paid",
} as const satisfies Record<RegisterStatus, string>;

/** The kind of a register, which follows from its two banks and decides which calls it accepts at all. */
export type RegisterKind = "interbank" | "internal" | "empty";

export function registerKind(debtorAgentGuid: string, creditorAgentGuid: string | null): RegisterKind {
  if (creditorAgentGuid === null) return "empty";
  return debtorAgentGuid === creditorAgentGuid ? "internal" : "interbank";
}

/** The status that a register is made with; with nothing to pay after fees it is Paid from the start. */
export function initialRegisterStatus(kind: RegisterKind, amountToPayMinor: number): RegisterStatus {
  if (kind === "empty") return "sent_no_pm";
  if (amountToPayMinor === 0) return "paid";
  return kind === "internal" ? "sent_internal" : "sent";
}

/** ddmmyy of the day, then the increment of that day, counted from 1 (wire-contract section 7). */
export function registerId(day: string, increment: number): string {
  return `${day.slice(8)}${day.slice(5, 7)}${day.slice(2, 4)}${increment}`;
}

/** The purpose that a register's settlement payment must have. */
export function registerPurpose(id: string): string {
  return `Gross settlement register ${id}`;
}

/** A transfer on the local rails as the initiator bank states it; the amount is in minor units. */
export type SettlementPayment = {
  /** Unique among the bank's settlement payments, and never used for a second register. */
  externalId: string;
  creditorIban: string;
  amountMinor: number;
  currency: string;
  purpose: string;
  /** Stored as given and compared with nothing. */
  creationDate: string;
};

/** The kinds of acts of a register. `told`: a bank has received the Gross_Settlement callback. */
export const registerActKinds = ["made", "told", "paid", "confirmed", "rejected", "internal", "reopened"] as const;
export type RegisterActKind = (typeof registerActKinds)[number];

/** The part of an act that the state of its register depends on. */
export type RegisterEvent = { kind: RegisterActKind; payment: SettlementPayment | null };

/** The state of a register, and the payments that the next statement about it is compared with. */
export type RegisterState = {
  status: RegisterStatus;
  /** The payment that it was paid with, if that did not fail. */
  current: SettlementPayment | null;
  /** The payment that failed last. */
  rejected: SettlementPayment | null;
};

/** The state that follows from a register's acts, oldest first; its stored status must equal it (wire-contract section 7). */
export function registerState(initial: RegisterStatus, acts: readonly RegisterEvent[]): RegisterState {
  return acts.reduce<RegisterState>((state, act) => afterAct(initial, state, act), {
    status: initial,
    current: null,
    rejected: null,
  });
}

function afterAct(initial: RegisterStatus, state: RegisterState, { kind, payment }: RegisterEvent): RegisterState {
  switch (kind) {
    case "paid":
      return { ...state, status: "processing", current: payment };
    case "confirmed":
      return { ...state, status: "paid" };
    case "rejected":
      // A rejection of an earlier payment, stated again, does not concern the payment that came after it.
      if (payment?.externalId !== state.current?.externalId) return state;
      return { status: initial, current: null, rejected: state.current };
    case "internal":
      return { ...state, status: "paid" };
    case "reopened":
      return { ...state, status: initial, current: null };
    case "made":
    case "told":
      return state;
  }
}

/** What a payment of the register has to state. */
export type RegisterContent = Pick<SettlementPayment, "creditorIban" | "amountMinor" | "currency" | "purpose">;

const contentFields = [
  ["amount", "amountMinor"],
  ["creditor_iban", "creditorIban"],
  ["currency", "currency"],
  ["purpose", "purpose"],
] as const satisfies ReadonlyArray<readonly [string, keyof RegisterContent]>;

export type ContentField = (typeof contentFields)[number][0];

/** The first field in which a stated payment differs from what the register asks for, by its name in the documents. */
export function contentDifference(asked: RegisterContent, stated: SettlementPayment): ContentField | undefined {
  return contentFields.find(([, member]) => asked[member] !== stated[member])?.[0];
}

/** How a stated payment relates to the known ones. Its content is amount, account, currency and purpose. */
export const paymentMatches = [
  "current",
  "current_other_content",
  "rejected",
  "new",
  "new_other_content",
  /** The id of another register, of a payment that failed earlier, or of the one that failed last with other content. */
  "used",
] as const;
export type PaymentMatch = (typeof paymentMatches)[number];

/** How a stated payment relates to the register; `isUsed`: the bank has stated a payment with this id before, of any register. */
export function paymentMatch(
  asked: RegisterContent,
  { current, rejected }: RegisterState,
  stated: SettlementPayment,
  isUsed: boolean,
): PaymentMatch {
  const isSame = contentDifference(asked, stated) === undefined;
  if (stated.externalId === current?.externalId) return isSame ? "current" : "current_other_content";
  if (stated.externalId === rejected?.externalId && isSame) return "rejected";
  if (isUsed) return "used";
  return isSame ? "new" : "new_other_content";
}

/** ISO 8601: a calendar date, or a date and a time with or without an offset. */
export function isCreationDate(text: string): boolean {
  const parts =
    /^(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?(?:[Zz]|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?$/.exec(
      text,
    );
  const [, day = "", hours = "0", minutes = "0", seconds = "0"] = parts ?? [];
  return isCalendarDay(day) && Number(hours) <= 23 && Number(minutes) <= 59 && Number(seconds) <= 60;
}
