import { Client } from "undici";
import type { AddressGuard } from "./address.ts";
import { guardedConnector } from "./connector.ts";

const timeoutMs = 5_000;

/**
 * Fetches what a participant publishes, under the same address guard as callbacks (SSRF): no redirects, a deadline, a size limit.
 * Throws with a sentence that says what went wrong.
 */
export async function fetchPublished(guard: AddressGuard, url: string, maxBytes: number): Promise<Uint8Array> {
  const form = guard.checkForm(url);
  if (!form.ok) throw new Error(form.problem);
  const target = new URL(url);
  const client = new Client(target.origin, { connect: guardedConnector(guard, timeoutMs), maxResponseSize: maxBytes });
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { statusCode, body } = await client.request({ method: "GET", path: target.pathname + target.search, signal });
    const bytes = await body.bytes();
    if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
    return bytes;
  } catch (error) {
    throw new Error(`could not be read: ${(error as Error).message}`);
  } finally {
    await client.destroy();
  }
}
