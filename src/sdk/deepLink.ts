import { guidPattern } from "../../gen/rest/limits.ts";
import { type Claims, type JwsProblem, verifyJws } from "./jws.ts";
import type { VerificationKey } from "./keys.ts";

/** What a payer has come with; `details` is what the platform signed, to be shown until the order itself is read. */
export type DeepLink = { ok: true; orderId: string; details: Claims } | { ok: false; problem: JwsProblem | "no_order" };

/**
 * Reads what follows a bank's prefix in a deep link that holds the signed order: verifies it with the platform's keys
 * (`fetchPlatformKeys`; with `unknown_key` read them again, the platform may have a new one) and answers which order to pay. What
 * is paid is what the order says when the bank reads it, which also tells whether it still can be paid.
 */
export async function readDeepLink(content: string, keys: readonly VerificationKey[]): Promise<DeepLink> {
  const read = await verifyJws(content, keys);
  if (!read.ok) return { ok: false, problem: read.problem };
  const { id } = read.claims;
  if (typeof id !== "string" || !guidPattern.test(id)) return { ok: false, problem: "no_order" };
  return { ok: true, orderId: id, details: read.claims };
}
