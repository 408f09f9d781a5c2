import { Client } from "undici";
import type { AddressGuard } from "./address.ts";
import { guardedConnector } from "./connector.ts";

const timeoutMs = 5_000;
const maxBytes = 65_536;

/**
 * Fetches the JSON Web Key Set that a participant publishes, under the same address guard as callbacks (SSRF): no redirects, a
 * deadline, a size limit. Throws with a sentence that says what went wrong.
 */
export async function fetchKeySet(guard: AddressGuard, url: string): Promise<unknown> {
  const form = guard.checkForm(url);
  if (!form.ok) throw new Error(form.problem);
  const target = new URL(url);
  const client = new Client(target.origin, { connect: guardedConnector(guard, timeoutMs), maxResponseSize: maxBytes });
  try {
    const { statusCode, body } = await client.request({
      method: "GET",
      path: target.pathname + target.search,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
    return parsed(text);
  } catch (error) {
    throw new Error(`could not be read: ${(error as Error).message}`);
  } finally {
    await client.destroy();
  }
}

/** Replaces the parser's message, which would quote what a stranger wrote. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("answered no JSON");
  }
}

/** The keys in an answer, or what is wrong with it. */
export function keysOf(set: unknown): unknown[] | { problem: string } {
  const keys = (set as { keys?: unknown } | null)?.keys;
  return Array.isArray(keys) ? keys : { problem: "is not a JSON Web Key Set" };
}
