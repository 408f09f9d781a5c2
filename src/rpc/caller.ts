import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Actor, BankActor } from "../domain/actor.ts";
import { refuse } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import { toConnectError } from "./errors.ts";
import { optionalGuid } from "./fields.ts";

/** The authenticated caller; the interceptors set it before any handler runs. */
export const actorKey = createContextKey<Actor | undefined>(undefined, { description: "who calls" });

/** The caller. That there is none would be a fault of ours, and throws. */
export function actorOf({ values }: HandlerContext): Actor {
  const actor = values.get(actorKey);
  if (actor === undefined) throw new Error("a handler was reached without a caller");
  return actor;
}

/** The calling bank, in a method that only banks may call. */
export function bankOf(context: HandlerContext): BankActor {
  const actor = actorOf(context);
  if (actor.kind !== "bank") throw new Error("the method is not one for banks alone");
  return actor;
}

/** Whether the caller sees only the public part of an order's payment: a service that merely forwards what others sign. */
export function seesPublicPart(context: HandlerContext): boolean {
  const actor = actorOf(context);
  return actor.kind === "service" && !actor.scopes.some((scope) => scope !== "gateway");
}

/** The bank or merchant that a list or object is read for; undefined for a service, which sees everything. */
export function readingParty(context: HandlerContext): Participant | undefined {
  const actor = actorOf(context);
  if (actor.kind === "bank") return actor.bank;
  return actor.kind === "merchant" ? actor.merchant : undefined;
}

/** The guid to filter by: a bank or merchant reads only its own, whatever it asks for; a service reads what it asks for. */
export function ofReader(asked: string, reader: Participant | undefined, field: string): string | undefined {
  const wanted = optionalGuid(asked);
  if (reader === undefined || wanted === undefined || wanted === reader.guid) return reader?.guid ?? wanted;
  throw toConnectError(refuse("FORBIDDEN", `${field} is not the caller`, { field }));
}
