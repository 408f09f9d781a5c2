import type { AddressGuard } from "./address.ts";
import { fetchPublished } from "./fetch.ts";

const maxBytes = 65_536;

/** Fetches the JSON Web Key Set that a participant publishes. Throws with a sentence that says what went wrong. */
export async function fetchKeySet(guard: AddressGuard, url: string): Promise<unknown> {
  return parsed(Buffer.from(await fetchPublished(guard, url, maxBytes)).toString());
}

/** Replaces the parser's message, which would quote what a stranger wrote. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("could not be read: answered no JSON");
  }
}

/** The keys in an answer, or what is wrong with it. */
export function keysOf(set: unknown): unknown[] | { problem: string } {
  const keys = (set as { keys?: unknown } | null)?.keys;
  return Array.isArray(keys) ? keys : { problem: "is not a JSON Web Key Set" };
}
