import type { AccessToken } from "./accessToken.ts";
import type { Service } from "./credential.ts";
import type { Participant } from "./participant.ts";

/** A bank whose Cx-Authorization was verified against the keys of this version of the bank. */
export type BankActor = {
  kind: "bank";
  bank: Participant;
  access: AccessToken;
  /** The access token itself: where the body is not signed, it is the evidence that is stored. */
  token: string;
  /** The instant at which the token's age was judged. */
  judgedAt: Date;
  /** Whether the token binds the body of its request (claim `body_sha256`). */
  bindsBody: boolean;
};

/**
 * A merchant whose Cx-Authorization was verified. With it a merchant only reads: what it changes comes in a body that it signed.
 */
export type MerchantActor = { kind: "merchant"; merchant: Participant };

/** Somebody with a service credential: a reader, or an operator by its name. */
export type ServiceActor = { kind: "service" } & Service;

/** The platform acting on its own: a scheduled chore, or something done at its start. */
export type PlatformActor = { kind: "platform" };

/**
 * Who makes a request; every use-case takes one. A merchant that creates or cancels an order has no actor here: the token that it
 * signed is itself the request, and needs no other authentication.
 */
export type Actor = BankActor | MerchantActor | ServiceActor | PlatformActor;

export const platformActor: PlatformActor = { kind: "platform" };

/** How the audit trail names an actor: the guid of a bank or merchant, the name of a credential, or `platform`. */
export function actorName(actor: Actor): string {
  if (actor.kind === "bank") return actor.bank.guid;
  if (actor.kind === "merchant") return actor.merchant.guid;
  return actor.kind === "service" ? actor.name : "platform";
}
