import type { Ticket } from "./queue.ts";

/** The fields are named one by one, so that what else a caller's object carries never reaches the broker. */
export function encodeTicket({ callbackGuid, series, attempt, receiverGuid, trace }: Ticket): Buffer {
  return Buffer.from(JSON.stringify({ callbackGuid, series, attempt, receiverGuid, trace }));
}

/** Anyone with access to the broker can put anything into a queue: what is not exactly a ticket is not handled as one. */
export function readTicket(body: unknown): Ticket | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { callbackGuid, series, attempt, receiverGuid, trace } = body as Partial<Record<keyof Ticket, unknown>>;
  if (typeof callbackGuid !== "string" || typeof receiverGuid !== "string") return undefined;
  if (!isCount(series) || !isCount(attempt)) return undefined;
  // A trace that cannot be read costs the trace and not the ticket.
  const isTrace = typeof trace === "string" && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(trace);
  return { callbackGuid, series, attempt, receiverGuid, ...(isTrace && { trace }) };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
