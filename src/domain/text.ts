import { type Refusal, type RefusalReason, refuse } from "./errors.ts";

/**
 * Texts that people read: what an order is for, its number, names. PlainText of the contract says the same in a pattern; a test
 * goes through all characters to see that both agree.
 */

export type TextProblem = "TOO_LONG" | "HALF_CHARACTER" | "CONTROL_CHARACTER" | "NOTHING_VISIBLE";

/** Controls C0 and C1, DEL, and the two separators that end a line for some readers and not for others. */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;

/** Anything but white space, formatting, what is shown as nothing at all, and the Braille cell without dots. */
const VISIBLE = /[^\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** What is wrong with a text of at most so many characters (Unicode code points), or undefined. */
export function textProblem(text: string, maxLength: number): TextProblem | undefined {
  if (lengthOf(text) > maxLength) return "TOO_LONG";
  // Half of a surrogate pair cannot be stored: replaced, it would make two different texts equal.
  if (!text.isWellFormed()) return "HALF_CHARACTER";
  if (CONTROL.test(text)) return "CONTROL_CHARACTER";
  return VISIBLE.test(text) ? undefined : "NOTHING_VISIBLE";
}

const sentences: Record<TextProblem, (maxLength: number) => string> = {
  TOO_LONG: (maxLength) => `must have at most ${maxLength} characters`,
  HALF_CHARACTER: () => "is not well-formed Unicode",
  CONTROL_CHARACTER: () => "has a control character",
  NOTHING_VISIBLE: () => "has no visible character",
};

/** The same as a refusal that names the field. */
export function textRefusal(
  reason: RefusalReason,
  field: string,
  text: string,
  maxLength: number,
): Refusal | undefined {
  const problem = textProblem(text, maxLength);
  return problem && refuse(reason, `${field} ${sentences[problem](maxLength)}`, { field });
}

/** In code points, as the contract counts; a text of JavaScript counts some of them twice. */
export function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

const MAX_WEB_URL_CHARACTERS = 2000;

/**
 * Whether a browser may be sent there: an http or https URL that says where it leads. A name and password before the host only
 * serve to look like another host, and so does a backslash, which some readers take for a slash.
 */
export function isWebUrl(text: string): boolean {
  if (lengthOf(text) > MAX_WEB_URL_CHARACTERS || !text.isWellFormed() || !SPELT_WEB_URL.test(text)) return false;
  return URL.canParse(text);
}

/** The parser would drop tabs and line ends, and mend other slips: what it reads must be what is written. */
const SPELT_WEB_URL = /^https?:\/\/[^\p{Cc}\u2028\u2029 @/?#\\]+(?:[/?#][^\p{Cc}\u2028\u2029 \\]*)?$/iu;
