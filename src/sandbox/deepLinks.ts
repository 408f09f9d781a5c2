import { readDeepLink } from "../sdk/deepLink.ts";
import type { VerificationKey } from "../sdk/keys.ts";

/** The address of an order's payment page; without `mobile` the device decides what it shows. */
export function paymentPageOf(platformUrl: string, { id }: { id: string }, more: { mobile?: "1" } = {}): string {
  return `${platformUrl}/api/v1/merchants/order?${new URLSearchParams({ id, ...more })}`;
}

/** Opens an order's payment page like a phone, and finds the link of the bank with this prefix. */
export async function linkOnPage(platformUrl: string, order: { id: string }, prefix: string): Promise<string> {
  const answer = await fetch(paymentPageOf(platformUrl, order, { mobile: "1" }));
  const page = await answer.text();
  const begin = page.indexOf(`href="${prefix}`) + 'href="'.length;
  const end = page.indexOf('"', begin);
  if (begin < 'href="'.length || end < 0)
    throw new Error(`The payment page (HTTP ${answer.status}) has no link to the bank`);
  return page.slice(begin, end);
}

/**
 * What a bank does with a link that its application was opened by, and answers the order. A link with a signed order is verified
 * (if the signer is unknown, the platform's keys are fetched again). A link with a bare id (no dots) proves nothing and only
 * names the order to read.
 */
export async function orderOfLink(
  link: string,
  prefix: string,
  platformKeys: (refresh: boolean) => Promise<readonly VerificationKey[]>,
): Promise<{ id: string }> {
  if (!link.startsWith(prefix)) throw new Error("The link is one of another bank");
  const content = link.slice(prefix.length);
  if (!content.includes(".")) return { id: content };
  const first = await readDeepLink(content, await platformKeys(false));
  const isUnknown = !first.ok && first.problem === "unknown_key";
  const read = isUnknown ? await readDeepLink(content, await platformKeys(true)) : first;
  if (!read.ok) throw new Error(`The platform has not signed what the link holds: ${read.problem}`);
  return { id: read.orderId };
}
