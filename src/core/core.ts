import type { OrderRequest } from "../domain/order.ts";
import { forgetAccessTokens } from "./accessTokens.ts";
import { type AttemptRecord, recordAttempts } from "./attempts.ts";
import { listAuditEntries } from "./audit.ts";
import { type GroupLimits, groupCalls } from "./batch.ts";
import { cancelOrder } from "./cancellation.ts";
import { closeRegisters } from "./closing.ts";
import type { CoreContext } from "./context.ts";
import { addCredential, isCredentialName, listCredentials, revokeCredential, serviceOf } from "./credentials.ts";
import { buryCallback, claimCallbacks } from "./delivery.ts";
import { createIdentity } from "./identity/identity.ts";
import { unlessChanged } from "./identity/partyChanged.ts";
import { getKeySet, readKeySets } from "./keySets.ts";
import { copyLogos, getLogo } from "./logos.ts";
import { createOrders } from "./orderCreation.ts";
import { listOrders } from "./orderList.ts";
import { expireOrders, getOrder } from "./orders.ts";
import { closeOverdueDays } from "./overdueDays.ts";
import { updateParticipant } from "./participantChange.ts";
import { listParticipantKeys } from "./participantKeyList.ts";
import { addOwnKey, addParticipantKey, retireParticipantKey } from "./participantKeys.ts";
import { listParticipants } from "./participantList.ts";
import { closeParticipant, resumeParticipant, suspendParticipant } from "./participantStatus.ts";
import { ensureParticipant, getParticipant, registerParticipant } from "./participants.ts";
import { listPaymentMessages } from "./paymentMessageList.ts";
import type { SubmittedMessage } from "./paymentMessages.ts";
import { getPaymentMessage } from "./paymentMessages.ts";
import { pingParticipant } from "./ping.ts";
import { listPlatformKeys, listSigningKeys, rotatePlatformKey } from "./platformKeys.ts";
import { reconcileRegisters } from "./reconciliation.ts";
import { redriveDeadLetters } from "./redrive.ts";
import { listRegisterActs } from "./registerActs.ts";
import { confirmInternalRegister, confirmRegister, payRegister, reopenRegister } from "./registerStatements.ts";
import { recordLostAttempts, takeOverdueCallbacks } from "./relay.ts";
import { getCallback, listCallbacks, replayCallback, replayCallbacks, resolveCallback } from "./review.ts";
import { getRegister, listRegisters } from "./settlements.ts";
import { signedDetails } from "./signedOrders.ts";
import { submitPaymentMessages } from "./submission.ts";

/** The use-cases that run as they are called, ungrouped. */
const useCases = {
  listSigningKeys,
  listPlatformKeys,
  rotatePlatformKey,
  signedDetails,
  cancelOrder,
  getOrder,
  listOrders,
  expireOrders,
  getPaymentMessage,
  listPaymentMessages,
  forgetAccessTokens,
  buryCallback,
  takeOverdueCallbacks,
  listCallbacks,
  getCallback,
  replayCallback,
  replayCallbacks,
  resolveCallback,
  redriveDeadLetters,
  closeRegisters,
  closeOverdueDays,
  reconcileRegisters,
  listRegisters,
  getRegister,
  payRegister,
  confirmRegister,
  confirmInternalRegister,
  reopenRegister,
  listRegisterActs,
  registerParticipant,
  ensureParticipant,
  updateParticipant,
  suspendParticipant,
  resumeParticipant,
  closeParticipant,
  addParticipantKey,
  retireParticipantKey,
  addOwnKey,
  listParticipantKeys,
  pingParticipant,
  getKeySet,
  readKeySets,
  copyLogos,
  getLogo,
  getParticipant,
  listParticipants,
  addCredential,
  isCredentialName,
  listCredentials,
  revokeCredential,
  serviceOf,
  listAuditEntries,
};

type UseCases = Readonly<Record<string, (context: CoreContext, ...rest: never[]) => unknown>>;

/** The use-cases as their callers see them: without the parameter `context`. */
type Bound<Cases extends UseCases> = {
  [Name in keyof Cases]: Cases[Name] extends (context: CoreContext, ...rest: infer Arguments) => infer Answer
    ? (...rest: Arguments) => Answer
    : never;
};

function bound<Cases extends UseCases>(context: CoreContext, cases: Cases): Bound<Cases> {
  const entries = Object.entries(cases).map(([name, useCase]) => [name, useCase.bind(undefined, context)]);
  return Object.fromEntries(entries) as Bound<Cases>;
}

/**
 * With two groups at a time one is being committed while the next one fills; beyond a hundred calls a group the cost per call falls
 * no further. 2 000 waiting calls are about half a second of work; callers of more would time out anyway.
 */
const defaultLimits: GroupLimits = { maxGroup: 100, maxWaiting: 2_000, concurrency: 2 };

export type Core = ReturnType<typeof createCore>;

/** The use-cases bound to their context; the hot ones take single calls and group them (`batch.ts`). */
export function createCore(context: CoreContext, limits: GroupLimits = defaultLimits) {
  const grouped = <In, Out>(
    name: string,
    useCase: (context: CoreContext, inputs: readonly In[]) => Promise<readonly Out[]>,
  ) =>
    groupCalls((inputs: readonly In[]) => {
      context.observer?.grouped(name, inputs.length);
      return useCase(context, inputs);
    }, limits);
  const orders = grouped("createOrder", createOrders);
  const submissions = grouped("submitPaymentMessage", submitPaymentMessages);
  const claims = grouped("claimCallback", claimCallbacks);
  const records = grouped("recordAttempt", recordAttempts);

  return {
    ...bound(context, useCases),
    /** Authentication: who makes a request, and what they have signed. */
    identity: createIdentity(context),
    /** The database's clock, as this process estimates it. */
    now: context.now,
    /**
     * This and the next one throw `PartyChanged` when the merchant no longer has the version that its signature was verified
     * against.
     */
    createOrder: async (request: OrderRequest) => unlessChanged(await orders.call(request)),
    submitPaymentMessage: async (request: SubmittedMessage) =>
      unlessChanged(await submissions.call({ ...request, trace: context.currentTrace?.() })),
    waitForOrderChanges: context.orderChanges.wait,
    claimCallback: claims.call,
    recordAttempt: (attempt: AttemptRecord) => records.call({ ...attempt, trace: context.currentTrace?.() }),
    recordLostAttempts: (limit: number) => recordLostAttempts(context, limit, records.call),
    /** Resolves when no grouped call waits or runs any more. */
    async drain(): Promise<void> {
      await Promise.all([orders.drain(), submissions.drain(), claims.drain(), records.drain()]);
    },
  };
}
