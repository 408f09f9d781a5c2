import type { AccessToken } from "./accessToken.ts";
import type { Service } from "./credential.ts";
import type { Participant } from "./participant.ts";

/** A bank that has shown its Cx-Authorization, verified against the keys of this version of it. */
export type BankActor = {
  kind: "bank";
  bank: Participant;
  access: AccessToken;
  /** The token itself: the evidence where the body is not signed. */
  token: string;
  /** As of when the token was judged. */
  judgedAt: Date;
  /** Whether the token binds the body of its request (claim `body_sha256`). */
  bindsBody: boolean;
};

/** A merchant that has shown its Cx-Authorization. It only reads by it: what it changes, it signs as such. */
export type MerchantActor = { kind: "merchant"; merchant: Participant };

/** Somebody with a service credential: a reader, or an operator by its name. */
export type ServiceActor = { kind: "service" } & Service;

/** What the platform does by itself: its clock, or its start. */
export type PlatformActor = { kind: "platform" };

/**
 * Who asks for something; nothing is done without one. A merchant that creates or cancels an order is none of them: its signed
 * token is the whole of what it asks for.
 */
export type Actor = BankActor | MerchantActor | ServiceActor | PlatformActor;

export const platformActor: PlatformActor = { kind: "platform" };

/** How whoever acted is written down: the guid of a bank or merchant, the name of a credential, or `platform`. */
export function actorName(actor: Actor): string {
  if (actor.kind === "bank") return actor.bank.guid;
  if (actor.kind === "merchant") return actor.merchant.guid;
  return actor.kind === "service" ? actor.name : "platform";
}
