import type { OrderRequest } from "../domain/order.ts";
import type { PaymentMessageRequest } from "../domain/paymentMessage.ts";
import { forgetAccessTokens } from "./accessTokens.ts";
import { listAuditEntries } from "./audit.ts";
import { type GroupLimits, groupCalls } from "./batch.ts";
import { type AttemptRecord, buryCallback, claimCallbacks, recordAttempts } from "./callbacks.ts";
import { cancelOrder } from "./cancellation.ts";
import { closeOverdueDays, closeRegisters } from "./closing.ts";
import type { CoreContext } from "./context.ts";
import { addCredential, isCredentialName, listCredentials, revokeCredential, serviceOf } from "./credentials.ts";
import { createIdentity } from "./identity/identity.ts";
import { unlessChanged } from "./identity/partyChanged.ts";
import { getKeySet, readKeySets } from "./keySets.ts";
import { createOrders } from "./orderCreation.ts";
import { listOrders } from "./orderList.ts";
import { expireOrders, getOrder } from "./orders.ts";
import { recordLostAttempts, takeOverdueCallbacks } from "./overdue.ts";
import { updateParticipant } from "./participantChange.ts";
import { listParticipantKeys } from "./participantKeyList.ts";
import { addOwnKey, addParticipantKey, retireParticipantKey } from "./participantKeys.ts";
import { listParticipants } from "./participantList.ts";
import { closeParticipant, resumeParticipant, suspendParticipant } from "./participantStatus.ts";
import { ensureParticipant, getParticipant, registerParticipant } from "./participants.ts";
import { listPaymentMessages } from "./paymentMessageList.ts";
import { getPaymentMessage } from "./paymentMessages.ts";
import { pingParticipant } from "./ping.ts";
import { listPlatformKeys, listSigningKeys, rotatePlatformKey } from "./platformKeys.ts";
import { reconcileRegisters } from "./reconciliation.ts";
import { redriveDeadLetters } from "./redrive.ts";
import {
  confirmInternalRegister,
  confirmRegister,
  listRegisterActs,
  payRegister,
  reopenRegister,
} from "./registerActs.ts";
import { getCallback, listCallbacks, replayCallback, replayCallbacks, resolveCallback } from "./review.ts";
import { getRegister, listRegisters } from "./settlements.ts";
import { signedDetails } from "./signedOrders.ts";
import { submitPaymentMessages } from "./submission.ts";

/**
 * Two groups at a time keep one on its way to the disk while the next one fills; a hundred calls a group is where the
 * cost per call stops falling. 2 000 waiting calls are about half a second of work: more would only wait in vain.
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

  const bind =
    <Arguments extends unknown[], Answer>(useCase: (context: CoreContext, ...rest: Arguments) => Answer) =>
    (...rest: Arguments) =>
      useCase(context, ...rest);

  return {
    /** Who asks, and what they have signed. */
    identity: createIdentity(context),
    /** The database's clock, as this process knows it. */
    now: context.now,
    listSigningKeys: bind(listSigningKeys),
    listPlatformKeys: bind(listPlatformKeys),
    rotatePlatformKey: bind(rotatePlatformKey),
    signedDetails: bind(signedDetails),
    /** Throws `PartyChanged` when the merchant is not what its signature was verified against; so does the next. */
    createOrder: async (request: OrderRequest) => unlessChanged(await orders.call(request)),
    cancelOrder: bind(cancelOrder),
    getOrder: bind(getOrder),
    listOrders: bind(listOrders),
    expireOrders: bind(expireOrders),
    submitPaymentMessage: async (request: PaymentMessageRequest) =>
      unlessChanged(await submissions.call({ ...request, trace: context.currentTrace?.() })),
    getPaymentMessage: bind(getPaymentMessage),
    listPaymentMessages: bind(listPaymentMessages),
    forgetAccessTokens: bind(forgetAccessTokens),
    claimCallback: claims.call,
    recordAttempt: (attempt: AttemptRecord) => records.call({ ...attempt, trace: context.currentTrace?.() }),
    buryCallback: bind(buryCallback),
    takeOverdueCallbacks: bind(takeOverdueCallbacks),
    recordLostAttempts: (limit: number) => recordLostAttempts(context, limit, records.call),
    listCallbacks: bind(listCallbacks),
    getCallback: bind(getCallback),
    replayCallback: bind(replayCallback),
    replayCallbacks: bind(replayCallbacks),
    resolveCallback: bind(resolveCallback),
    redriveDeadLetters: bind(redriveDeadLetters),
    closeRegisters: bind(closeRegisters),
    closeOverdueDays: bind(closeOverdueDays),
    reconcileRegisters: bind(reconcileRegisters),
    listRegisters: bind(listRegisters),
    getRegister: bind(getRegister),
    payRegister: bind(payRegister),
    confirmRegister: bind(confirmRegister),
    confirmInternalRegister: bind(confirmInternalRegister),
    reopenRegister: bind(reopenRegister),
    listRegisterActs: bind(listRegisterActs),
    registerParticipant: bind(registerParticipant),
    ensureParticipant: bind(ensureParticipant),
    updateParticipant: bind(updateParticipant),
    suspendParticipant: bind(suspendParticipant),
    resumeParticipant: bind(resumeParticipant),
    closeParticipant: bind(closeParticipant),
    addParticipantKey: bind(addParticipantKey),
    retireParticipantKey: bind(retireParticipantKey),
    addOwnKey: bind(addOwnKey),
    listParticipantKeys: bind(listParticipantKeys),
    pingParticipant: bind(pingParticipant),
    getKeySet: bind(getKeySet),
    readKeySets: bind(readKeySets),
    getParticipant: bind(getParticipant),
    listParticipants: bind(listParticipants),
    addCredential: bind(addCredential),
    isCredentialName: bind(isCredentialName),
    listCredentials: bind(listCredentials),
    revokeCredential: bind(revokeCredential),
    serviceOf: bind(serviceOf),
    listAuditEntries: bind(listAuditEntries),
    /** Resolves when no grouped call waits or runs any more. */
    async drain(): Promise<void> {
      await Promise.all([orders.drain(), submissions.drain(), claims.drain(), records.drain()]);
    },
  };
}
