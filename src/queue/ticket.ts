import type { Ticket } from "./queue.ts";

/** The fields are named one by one, so that what else a caller's object carries never reaches the broker. */
export function encodeTicket({ callbackGuid, series, attempt, receiverGuid }: Ticket): Buffer {
  return Buffer.from(JSON.stringify({ callbackGuid, series, attempt, receiverGuid }));
}

/** Anyone with access to the broker can put anything into a queue: what is not exactly a ticket is not handled as one. */
export function readTicket(body: unknown): Ticket | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { callbackGuid, series, attempt, receiverGuid } = body as Partial<Record<keyof Ticket, unknown>>;
  if (typeof callbackGuid !== "string" || typeof receiverGuid !== "string") return undefined;
  if (!isCount(series) || !isCount(attempt)) return undefined;
  return { callbackGuid, series, attempt, receiverGuid };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
