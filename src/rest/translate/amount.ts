import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Money, MoneySchema } from "../../../gen/dcm/v1/money_pb.ts";
import {
  type AmountProblem,
  formatAmountText,
  MAX_AMOUNT_MINOR,
  MAX_TOTAL_MINOR,
  parseAmount,
} from "../../domain/money.ts";
import { type ErrorCode, RestRefusal } from "../errors.ts";

type MoneyInit = MessageInitShape<typeof MoneySchema>;

/** What an amount may be, and what is answered where it is something else. */
type AmountKind = { maxMinor: number; code: ErrorCode };

export const payment: AmountKind = { maxMinor: MAX_AMOUNT_MINOR, code: "INVALID_AMOUNT" };
/** The sum of many payments. */
export const total: AmountKind = { maxMinor: MAX_TOTAL_MINOR, code: "INVALID_REQUEST" };

const sentences = {
  NOT_A_NUMBER: "must be a number",
  NOT_POSITIVE: "must be above 0",
  TOO_MANY_DECIMALS: "must have at most two decimals",
  TOO_LARGE: "is too large",
} as const satisfies Record<AmountProblem, string>;

export function moneyOf(amount: number, currency: string, field: string, kind: AmountKind = payment): MoneyInit {
  const parsed = parseAmount(amount, kind.maxMinor);
  if (!parsed.ok) throw new RestRefusal(kind.code, { text: `${field} ${sentences[parsed.problem]}`, field });
  return { currency, amountMinor: BigInt(parsed.amountMinor) };
}

/** Minor units as text with exactly two decimals. */
export const amountText: (amountMinor: bigint) => string = formatAmountText;

/** Minor units as a JSON number: parsed once from text, so that it prints as the same decimal. */
export function amountNumber(money: Money | undefined): number {
  return Number(amountText(money?.amountMinor ?? 0n));
}
