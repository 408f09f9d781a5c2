import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { type Actor, type BankActor, platformActor } from "../domain/actor.ts";

/** Who calls; the interceptors have seen to it before any handler runs. */
export const actorKey = createContextKey<Actor>(platformActor, { description: "who calls" });

export const actorOf = ({ values }: HandlerContext): Actor => values.get(actorKey);

/** The bank that calls; of a method that only banks may call. */
export function bankOf(context: HandlerContext): BankActor {
  const actor = actorOf(context);
  if (actor.kind !== "bank") throw new Error("the method is not one for banks alone");
  return actor;
}

/** For whom a list or an object is read: the bank that calls; undefined for a service, which sees everything. */
export function readingBank(context: HandlerContext): BankActor["bank"] | undefined {
  const actor = actorOf(context);
  return actor.kind === "bank" ? actor.bank : undefined;
}
