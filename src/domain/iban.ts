/** A Ukrainian account number: "UA", two check digits, 6 digits of the bank and 19 of the account: 29 characters. */

export type IbanProblem = "WRONG_SHAPE" | "WRONG_CHECK_DIGITS";

/** What follows the field's name in an error text. */
export const ibanSentence = {
  WRONG_SHAPE: "is not a Ukrainian IBAN of 29 characters",
  WRONG_CHECK_DIGITS: "has wrong IBAN check digits",
} as const satisfies Record<IbanProblem, string>;

const UKRAINIAN_IBAN = /^UA(\d{2})(\d{25})$/;

/** The letters U and A as ISO 7064 counts them: A is 10, so U is 30. */
const COUNTRY_AS_DIGITS = "3010";

/** Undefined when the account number is right; spaces and lower case are not forgiven, since banks compare the text. */
export function ibanProblem(text: unknown): IbanProblem | undefined {
  const parts = typeof text === "string" ? UKRAINIAN_IBAN.exec(text) : null;
  if (!parts) return "WRONG_SHAPE";
  const [, checkDigits = "", account = ""] = parts;
  // 00, 01 and 99 have the same remainder as 97, 98 and 02, but nobody ever computes them: each account has one spelling.
  if (checkDigits < "02" || checkDigits > "98") return "WRONG_CHECK_DIGITS";
  return remainderOf97(`${account}${COUNTRY_AS_DIGITS}${checkDigits}`) === 1 ? undefined : "WRONG_CHECK_DIGITS";
}

/** The two check digits of a 25-digit Ukrainian bank and account part: those that leave the remainder 1. */
export function ibanCheckDigits(account: string): string {
  return String(98 - remainderOf97(`${account}${COUNTRY_AS_DIGITS}00`)).padStart(2, "0");
}

/** The bank's code (MFO, 6 digits) inside a Ukrainian account number. */
export function ibanBankCode(iban: string): string {
  return iban.slice(4, 10);
}

/** Digit by digit, so the running value never passes 96 × 10 + 9. */
function remainderOf97(digits: string): number {
  let remainder = 0;
  for (const digit of digits) remainder = (remainder * 10 + Number(digit)) % 97;
  return remainder;
}
