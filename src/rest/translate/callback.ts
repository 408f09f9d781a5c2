import { type Callback, CallbackKind, CallbackState } from "../../../gen/dcm/v1/callback_pb.ts";
import type { Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { isoText } from "../../wire/values.ts";
import { type Answered, enumText, enumTexts } from "./enumText.ts";

type MissedCallback = components["schemas"]["MissedCallback"];

const kindText = enumTexts<Answered<typeof CallbackKind>, MissedCallback["kind"]>()({
  pay_in_bank: CallbackKind.PAY_IN_BANK,
  pay_in_merchant: CallbackKind.PAY_IN_MERCHANT,
  pay_out: CallbackKind.PAY_OUT,
  credit: CallbackKind.CREDIT,
  pay_in_bank_reject: CallbackKind.PAY_IN_BANK_REJECT,
  pay_in_merchant_reject: CallbackKind.PAY_IN_MERCHANT_REJECT,
  expiration: CallbackKind.EXPIRATION,
  gross_settlement: CallbackKind.GROSS_SETTLEMENT,
});

/** The states in which a callback can have been missed. */
export const missedStates = [
  CallbackState.WAITING,
  CallbackState.IN_FLIGHT,
  CallbackState.REVIEW,
  CallbackState.DEAD,
] as const;

const stateText = enumTexts<(typeof missedStates)[number], MissedCallback["state"]>()({
  waiting: CallbackState.WAITING,
  in_flight: CallbackState.IN_FLIGHT,
  review: CallbackState.REVIEW,
  dead: CallbackState.DEAD,
});

export function missedCallbackAnswer(callback: Callback): Whole<MissedCallback> {
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
