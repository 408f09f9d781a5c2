import type { OrderRequest } from "../domain/order.ts";
import type { PaymentMessageRequest } from "../domain/paymentMessage.ts";
import { type GroupLimits, groupCalls } from "./batch.ts";
import { type AttemptRecord, buryCallback, claimCallbacks, recordAttempts, takeOverdueCallbacks } from "./callbacks.ts";
import type { CoreContext, DueCallback } from "./context.ts";
import { createOrders, expireOrders, getOrder } from "./orders.ts";
import { getParticipant, listParticipants, registerParticipant, updateParticipant } from "./participants.ts";
import { forgetAccessTokens, getPaymentMessage, submitPaymentMessages } from "./paymentMessages.ts";
import { getCallback, listCallbacks, replayCallback, replayCallbacks, resolveCallback } from "./review.ts";
import { closeOverdueDays, closeRegisters, getRegister, listRegisters, reconcileRegisters } from "./settlements.ts";

/**
 * Two groups at a time keep one on its way to the disk while the next one fills; a hundred calls a group is where the
 * cost per call stops falling. 2 000 waiting calls are about half a second of work: more would only wait in vain.
 */
const defaultLimits: GroupLimits = { maxGroup: 100, maxWaiting: 2_000, concurrency: 2 };

export type Core = ReturnType<typeof createCore>;

/** The use-cases bound to their context; the hot ones take single calls and group them (`batch.ts`). */
export function createCore(context: CoreContext, limits: GroupLimits = defaultLimits) {
  const orders = groupCalls((requests: readonly OrderRequest[]) => createOrders(context, requests), limits);
  const submissions = groupCalls(
    (requests: readonly PaymentMessageRequest[]) => submitPaymentMessages(context, requests),
    limits,
  );
  const claims = groupCalls((tickets: readonly DueCallback[]) => claimCallbacks(context, tickets), limits);
  const records = groupCalls((attempts: readonly AttemptRecord[]) => recordAttempts(context, attempts), limits);

  const bind =
    <Arguments extends unknown[], Answer>(useCase: (context: CoreContext, ...rest: Arguments) => Answer) =>
    (...rest: Arguments) =>
      useCase(context, ...rest);

  return {
    createOrder: orders.call,
    getOrder: bind(getOrder),
    expireOrders: bind(expireOrders),
    submitPaymentMessage: submissions.call,
    getPaymentMessage: bind(getPaymentMessage),
    forgetAccessTokens: bind(forgetAccessTokens),
    claimCallback: claims.call,
    recordAttempt: records.call,
    buryCallback: bind(buryCallback),
    takeOverdueCallbacks: bind(takeOverdueCallbacks),
    listCallbacks: bind(listCallbacks),
    getCallback: bind(getCallback),
    replayCallback: bind(replayCallback),
    replayCallbacks: bind(replayCallbacks),
    resolveCallback: bind(resolveCallback),
    closeRegisters: bind(closeRegisters),
    closeOverdueDays: bind(closeOverdueDays),
    reconcileRegisters: bind(reconcileRegisters),
    listRegisters: bind(listRegisters),
    getRegister: bind(getRegister),
    registerParticipant: bind(registerParticipant),
    updateParticipant: bind(updateParticipant),
    getParticipant: bind(getParticipant),
    listParticipants: bind(listParticipants),
    /** Resolves when no grouped call waits or runs any more. */
    async drain(): Promise<void> {
      await Promise.all([orders.drain(), submissions.drain(), claims.drain(), records.drain()]);
    },
  };
}
