/** A Ukrainian account number (UA2!n6!n19!c): "UA", two check digits, the bank's 6 digits and the account's 19 digits or capital letters. */

export type IbanProblem = "WRONG_SHAPE" | "WRONG_CHECK_DIGITS";

/** What follows the field's name in an error text. */
export const ibanSentence = {
  WRONG_SHAPE: "is not a Ukrainian IBAN of 29 characters",
  WRONG_CHECK_DIGITS: "has wrong IBAN check digits",
} as const satisfies Record<IbanProblem, string>;

const UKRAINIAN_IBAN = /^UA([0-9]{2})([0-9]{6}[0-9A-Z]{19})$/;

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

/** The two check digits of a Ukrainian bank and account part of 25 characters: those that leave the remainder 1. */
export function ibanCheckDigits(account: string): string {
  return String(98 - remainderOf97(`${account}${COUNTRY_AS_DIGITS}00`)).padStart(2, "0");
}

/** The bank's code (MFO, 6 digits) inside a Ukrainian account number. */
export function ibanBankCode(iban: string): string {
  return iban.slice(4, 10);
}

/** Character by character, so the running value never passes 96 × 100 + 35; a letter counts as the two digits from 10 for A to 35 for Z. */
function remainderOf97(characters: string): number {
  let remainder = 0;
  for (const character of characters) {
    const value = Number.parseInt(character, 36);
    remainder = (remainder * (value < 10 ? 10 : 100) + value) % 97;
  }
  return remainder;
}
