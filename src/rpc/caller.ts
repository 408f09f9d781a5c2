import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Actor, BankActor } from "../domain/actor.ts";
import { refuse } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import { toConnectError } from "./errors.ts";
import { optionalGuid } from "./fields.ts";

/** Who calls; the interceptors have seen to it before any handler runs. */
export const actorKey = createContextKey<Actor | undefined>(undefined, { description: "who calls" });

/** Nothing is done for nobody: a handler without a caller is a fault of ours. */
export function actorOf({ values }: HandlerContext): Actor {
  const actor = values.get(actorKey);
  if (actor === undefined) throw new Error("a handler was reached without a caller");
  return actor;
}

/** The bank that calls; of a method that only banks may call. */
export function bankOf(context: HandlerContext): BankActor {
  const actor = actorOf(context);
  if (actor.kind !== "bank") throw new Error("the method is not one for banks alone");
  return actor;
}

/** Whether whoever calls sees no more of an order than anybody who knows its id: a service that only brings what others sign. */
export function seesPublicPart(context: HandlerContext): boolean {
  const actor = actorOf(context);
  return actor.kind === "service" && !actor.scopes.some((scope) => scope !== "gateway");
}

/** For whom a list or an object is read: the bank or merchant that calls; undefined for a service, which sees everything. */
export function readingParty(context: HandlerContext): Participant | undefined {
  const actor = actorOf(context);
  if (actor.kind === "bank") return actor.bank;
  return actor.kind === "merchant" ? actor.merchant : undefined;
}

/** What a bank or merchant asks for is its own, whatever it says; a service asks for whom it says. */
export function ofReader(asked: string, reader: Participant | undefined, field: string): string | undefined {
  const wanted = optionalGuid(asked);
  if (reader === undefined || wanted === undefined || wanted === reader.guid) return reader?.guid ?? wanted;
  throw toConnectError(refuse("FORBIDDEN", `${field} is not the caller`, { field }));
}
