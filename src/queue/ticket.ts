import type { Ticket } from "./queue.ts";

/** The fields are named one by one, so that what else a caller's object carries never reaches the broker. */
export function encodeTicket({ callbackGuid, series, attempt, receiverGuid, parks, trace }: Ticket): Buffer {
  return Buffer.from(JSON.stringify({ callbackGuid, series, attempt, receiverGuid, parks, trace }));
}

/**
 * Anyone with access to the broker can put anything into a queue: what is not exactly a ticket is not handled as one. One
 * that PostgreSQL cannot read would fail the look-up of every ticket beside it, and come back for ever.
 */
export function readTicket(body: unknown): Ticket | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { callbackGuid, series, attempt, receiverGuid, parks, trace } = body as Partial<Record<keyof Ticket, unknown>>;
  if (!isGuid(callbackGuid) || !isGuid(receiverGuid)) return undefined;
  if (!isCount(series) || !isCount(attempt)) return undefined;
  // A trace that cannot be read costs the trace and not the ticket.
  const isTrace = typeof trace === "string" && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(trace);
  return {
    callbackGuid,
    series,
    attempt,
    receiverGuid,
    ...(isCount(parks) && { parks }),
    ...(isTrace && { trace }),
  };
}

function isGuid(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}

/** As PostgreSQL's `int`. */
function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}
