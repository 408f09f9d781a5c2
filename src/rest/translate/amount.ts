import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Money, MoneySchema } from "../../../gen/dcm/v1/money_pb.ts";
import { RestRefusal } from "../errors.ts";

type MoneyInit = MessageInitShape<typeof MoneySchema>;

/**
 * Reads an amount by its shortest decimal text, which is what the sender wrote: no arithmetic on fractions, so nothing
 * can be rounded. The schema has already said that it is a number in range.
 */
export function moneyOf(amount: number, currency: string, field: string): MoneyInit {
  const digits = /^(\d+)(?:\.(\d{1,2}))?$/.exec(String(amount));
  if (!digits) throw new RestRefusal("INVALID_AMOUNT", { text: `${field} must have at most two decimals`, field });
  const [, whole = "", decimals = ""] = digits;
  return { currency, amountMinor: BigInt(whole + decimals.padEnd(2, "0")) };
}

/** Minor units as text with exactly two decimals. */
export function amountText(amountMinor: bigint): string {
  const sign = amountMinor < 0n ? "-" : "";
  const digits = (amountMinor < 0n ? -amountMinor : amountMinor).toString().padStart(3, "0");
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** Minor units as a JSON number: parsed once from text, so that it prints as the same decimal. */
export function amountNumber(money: Money | undefined): number {
  return Number(amountText(money?.amountMinor ?? 0n));
}
