import { limits } from "../../gen/rest/limits.ts";
import { type Refusal, type RefusalReason, refuse } from "./errors.ts";

/**
 * Texts that people read: an order's purpose and number, and names. PlainText of the contract states the same rule as a pattern; a
 * test goes through all characters to see that both agree.
 */

export type TextProblem = "TOO_LONG" | "HALF_CHARACTER" | "CONTROL_CHARACTER" | "NOTHING_VISIBLE";

/** Controls C0 and C1, DEL, and the two separators that end a line for some readers and not for others. */
const CONTROL = /[\p{Cc}\u2028\u2029]/u;

/** Anything but white space, formatting, what is shown as nothing at all, and the Braille cell without dots. */
const VISIBLE = /[^\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** What is wrong with a text of at most so many characters (Unicode code points), or undefined. */
export function textProblem(text: string, maxLength: number): TextProblem | undefined {
  if (lengthOf(text) > maxLength) return "TOO_LONG";
  // Half of a surrogate pair cannot be stored as UTF-8: replaced by U+FFFD it would make two different texts equal.
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

/** `textProblem` as a refusal that names the field. */
export function textRefusal(
  reason: RefusalReason,
  field: string,
  text: string,
  maxLength: number,
): Refusal | undefined {
  const problem = textProblem(text, maxLength);
  return problem && refuse(reason, `${field} ${sentences[problem](maxLength)}`, { field });
}

/** The length in code points, as the contract counts; `length` counts those beyond U+FFFF twice. */
export function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

const MAX_WEB_URL_CHARACTERS = limits.orderUrlChars;

/**
 * Whether a browser may be sent to this address: an http or https URL whose host is plain to see. A name and password before the
 * host (phishing) make it look like another host, and so does a backslash, which some readers take for a slash.
 */
export function isWebUrl(text: string): boolean {
  if (lengthOf(text) > MAX_WEB_URL_CHARACTERS || !text.isWellFormed() || !SPELT_WEB_URL.test(text)) return false;
  return URL.canParse(text);
}

/**
 * The URL parser drops tabs and line ends and mends other slips; this pattern lets only a URL through that is read as it is
 * written.
 */
const SPELT_WEB_URL = /^https?:\/\/[^\p{Cc}\u2028\u2029 @/?#\\]+(?:[/?#][^\p{Cc}\u2028\u2029 \\]*)?$/iu;
