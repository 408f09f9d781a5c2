import { guidPattern } from "../../gen/rest/limits.ts";
import type { Ticket } from "./queue.ts";

/**
 * The most tickets of a message. A message costs far more than a ticket, for the broker and both ends, so tickets that are
 * published together travel together. A message is acknowledged when all its tickets are handled: after a crash as many are handled
 * again.
 */
export const MAX_TICKETS_PER_MESSAGE = 16;

/** Message bodies of up to `atOnce` tickets each. */
export function encodeTickets(tickets: readonly Ticket[], atOnce = 1): Buffer[] {
  const bodies: Buffer[] = [];
  for (let first = 0; first < tickets.length; first += atOnce) {
    bodies.push(Buffer.from(JSON.stringify(tickets.slice(first, first + atOnce).map(fieldsOf))));
  }
  return bodies;
}

/** Only the fields of a ticket, so that further members of the caller's object never reach the broker. */
function fieldsOf({ callbackGuid, series, attempt, receiverGuid, decides, parks, trace }: Ticket) {
  return { callbackGuid, series, attempt, receiverGuid, decides, parks, trace };
}

/**
 * Reads the tickets of a message, or undefined for anything else: anyone with access to the broker can publish. A ticket that
 * PostgreSQL cannot read (a poison message) would fail the look-up of every ticket beside it, and come back for ever.
 */
export function readTickets(body: unknown): Ticket[] | undefined {
  if (!Array.isArray(body) || body.length === 0 || body.length > MAX_TICKETS_PER_MESSAGE) return undefined;
  const tickets = body.map(readTicket);
  return tickets.every((ticket) => ticket !== undefined) ? tickets : undefined;
}

function readTicket(body: unknown): Ticket | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const fields = body as Partial<Record<keyof Ticket, unknown>>;
  const { callbackGuid, series, attempt, receiverGuid, decides, parks, trace } = fields;
  if (!isGuid(callbackGuid) || !isGuid(receiverGuid)) return undefined;
  if (!isCount(series) || !isCount(attempt)) return undefined;
  // An invalid trace is dropped, and the ticket kept.
  const isTrace = typeof trace === "string" && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(trace);
  return {
    callbackGuid,
    series,
    attempt,
    receiverGuid,
    ...(typeof decides === "boolean" && { decides }),
    ...(isCount(parks) && { parks }),
    ...(isTrace && { trace }),
  };
}

function isGuid(value: unknown): value is string {
  return typeof value === "string" && guidPattern.test(value);
}

/** A number that fits PostgreSQL's `int`. */
function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}
