import type { Core } from "../core/core.ts";
import type { ClaimedCallback } from "../core/delivery.ts";
import { isRefusal } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import { type CallbackFacts, callbackContent, maxCallbackPayments } from "../wire/callbackClaims.ts";
import { registerUrl } from "../wire/register.ts";
import type { CallbackRequest } from "./client.ts";
import { callbackUrl, markedAs, type Signer, sealEnvelope } from "./envelope.ts";
import type { Receivers } from "./receivers.ts";

export type DeliveryLog = Record<"debug" | "info" | "warn" | "error", (fields: object, message: string) => void>;

export type PreparationContext = {
  core: Core;
  receivers: Receivers;
  signer: Signer;
  /** The public address of REST, asked per callback, because with port 0 it is known only once REST listens. */
  publicUrl: () => string;
  newGuid: () => string;
  log: DeliveryLog;
};

/** The request to make, or that the receiver is suspended or closed and nothing is sent. */
export type Prepared = { url: string; request: CallbackRequest } | "suspended";

export const logFields = (claimed: ClaimedCallback) => ({
  callbackGuid: claimed.guid,
  kind: claimed.kind,
  paymentMessageGuid: claimed.paymentMessage?.guid ?? null,
  attempt: claimed.attempt,
});

/**
 * Builds and signs the request. A failure here is our own fault: the callback becomes dead, with the reason, and no attempt is used
 * up.
 */
export async function prepare(context: PreparationContext, claimed: ClaimedCallback): Promise<Prepared | undefined> {
  // A failing read is temporary trouble of the database: the lease lapses, and the relay publishes the callback again.
  const receiver = await context.receivers.find(claimed.receiverGuid);
  const settlement =
    claimed.registerId === null ? undefined : await readSettlement(context, claimed, claimed.registerId);
  try {
    if (isRefusal(receiver)) throw new Error("the receiver is not registered");
    if (receiver.status !== "active") return "suspended";
    if (isRefusal(settlement)) throw new Error(`register ${claimed.registerId} does not exist`);
    return await prepareFor(context, claimed, settlement, receiver);
  } catch (error) {
    const problem = error instanceof Error ? error.message : "unknown problem";
    context.log.error(
      { ...logFields(claimed), problem },
      "a callback cannot be prepared; it is dead until it is redriven",
    );
    // Evicts the receiver from the cache, so that an operator who corrects it and redrives at once is not met by the old data.
    context.receivers.forget(claimed.receiverGuid);
    await context.core.buryCallback(claimed, problem);
    return undefined;
  }
}

/** Reads no more payments than the callback can carry: a register may have a million, and every retry would read them again. */
async function readSettlement({ core, publicUrl }: PreparationContext, { receiverGuid }: ClaimedCallback, id: string) {
  const alone = await core.getRegister(undefined, id, { limit: 0 });
  const isLarge = !isRefusal(alone) && alone.register.paymentCount > maxCallbackPayments;
  const settlement = isLarge ? alone : await core.getRegister(undefined, id, { limit: maxCallbackPayments });
  if (isRefusal(settlement)) return settlement;
  return { ...settlement, registerUrl: registerUrl(publicUrl(), receiverGuid, id) };
}

async function prepareFor(
  context: PreparationContext,
  claimed: ClaimedCallback,
  settlement: CallbackFacts["settlement"],
  receiver: Participant,
): Promise<Prepared> {
  const url = callbackUrl(claimed.kind, receiver);
  if (url === undefined) throw new Error(`the receiver has no URL for ${claimed.kind} callbacks`);
  const content = callbackContent({ claimed, settlement });
  return { url, request: await sealEnvelope(content, markedAs(claimed), receiver, context.signer, context.newGuid) };
}
