import type { Callback } from "../../gen/dcm/v1/callback_pb.ts";
import type { Whole } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";
import { answeredName, callbackKinds, callbackStates } from "./enums.ts";
import { isoText } from "./values.ts";

type MissedCallback = components["schemas"]["MissedCallback"];

const { waiting, in_flight, review, dead } = callbackStates;
const missed = { waiting, in_flight, review, dead } as const satisfies Record<MissedCallback["state"], number>;

/** The states of callbacks that count as missed. */
export const missedStates = Object.values(missed);

export function missedCallbackAnswer(callback: Callback): Whole<MissedCallback> {
  return {
    callback_guid: callback.guid,
    kind: answeredName(callbackKinds, callback.kind),
    state: answeredName(missed, callback.state),
    payment_message_guid: callback.paymentMessageGuid || null,
    order_id: callback.orderId || null,
    register_id: callback.registerId || null,
    attempts: callback.attempts,
    created_at: isoText(callback.createdAt),
    last_attempt_at: callback.lastAttemptAt ? isoText(callback.lastAttemptAt) : null,
    last_outcome: callback.lastOutcome || null,
  };
}
