import { guidPattern } from "../../gen/rest/limits.ts";
import { type Claims, type JwsProblem, verifyJws } from "./jws.ts";
import type { VerificationKey } from "./keys.ts";

/** The content of a deep link; `details` is what the platform signed, to be shown until the order itself has been read. */
export type DeepLink = { ok: true; orderId: string; details: Claims } | { ok: false; problem: JwsProblem | "no_order" };

/**
 * Reads what follows a bank's prefix in a deep link with a signed order: verifies it with the platform's keys (`fetchPlatformKeys`;
 * after `unknown_key` fetch them again, because the platform may have a new one) and answers which order to pay. The payment itself
 * must be made by the order as the bank then reads it, which also tells whether it can still be paid.
 */
export async function readDeepLink(content: string, keys: readonly VerificationKey[]): Promise<DeepLink> {
  const read = await verifyJws(content, keys);
  if (!read.ok) return { ok: false, problem: read.problem };
  const { id } = read.claims;
  if (typeof id !== "string" || !guidPattern.test(id)) return { ok: false, problem: "no_order" };
  return { ok: true, orderId: id, details: read.claims };
}
