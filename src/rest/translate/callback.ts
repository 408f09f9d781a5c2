import { type Callback, CallbackKind, CallbackState } from "../../../gen/dcm/v1/callback_pb.ts";
import type { components } from "../../../gen/rest/types.ts";
import { isoText } from "../../wire/values.ts";
import { enumText } from "./enumText.ts";

type MissedCallback = components["schemas"]["MissedCallback"];

const kindText = {
  [CallbackKind.PAY_IN_BANK]: "pay_in_bank",
  [CallbackKind.PAY_IN_MERCHANT]: "pay_in_merchant",
  [CallbackKind.PAY_OUT]: "pay_out",
  [CallbackKind.CREDIT]: "credit",
  [CallbackKind.PAY_IN_BANK_REJECT]: "pay_in_bank_reject",
  [CallbackKind.PAY_IN_MERCHANT_REJECT]: "pay_in_merchant_reject",
  [CallbackKind.EXPIRATION]: "expiration",
  [CallbackKind.GROSS_SETTLEMENT]: "gross_settlement",
} as const satisfies { [kind: number]: MissedCallback["kind"] };

/** The states in which a callback can have been missed. */
const stateText = {
  [CallbackState.WAITING]: "waiting",
  [CallbackState.IN_FLIGHT]: "in_flight",
  [CallbackState.REVIEW]: "review",
  [CallbackState.DEAD]: "dead",
} as const satisfies { [state: number]: MissedCallback["state"] };

export const missedStates = [
  CallbackState.WAITING,
  CallbackState.IN_FLIGHT,
  CallbackState.REVIEW,
  CallbackState.DEAD,
] as const;

export function missedCallbackAnswer(callback: Callback): MissedCallback {
  return {
    callback_guid: callback.guid,
    kind: enumText(kindText, callback.kind),
    state: enumText(stateText, callback.state),
    payment_message_guid: callback.paymentMessageGuid || null,
    order_id: callback.orderId || null,
    register_id: callback.registerId || null,
    attempts: callback.attempts,
    created_at: isoText(callback.createdAt),
    last_attempt_at: callback.lastAttemptAt ? isoText(callback.lastAttemptAt) : null,
    last_outcome: callback.lastOutcome || null,
  };
}
