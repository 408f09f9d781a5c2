import type { EventFeed } from "../../gen/rest/operations.ts";
import type { PaymentState } from "../domain/order.ts";
import type { FollowedOrder } from "./orderFollower.ts";

/** How far an order is on its way: the `id` of its event. It only grows, so whatever comes late is known by it. */
export const placeOf = {
  waiting: 1,
  processing: 2,
  paid: 3,
  rejected: 3,
  expired: 3,
  canceled: 3,
} as const satisfies Record<PaymentState, number>;

const lastPlace = 3;

export const isFinal = (state: PaymentState) => placeOf[state] === lastPlace;

/** After a gap all readers come again; they are spread over this time. */
const comeAgainWithinMs = 3_000;

/** The events of an order: its state as it was read, then every change, until it is over or a change may have been missed. */
export function feedOf(state: PaymentState, followed: FollowedOrder): EventFeed {
  return ({ send, end }) => {
    let place = 0;
    let ending: NodeJS.Timeout | undefined;
    const show = (current: PaymentState) => {
      if (placeOf[current] <= place) return;
      place = placeOf[current];
      send({ id: place, event: "state", data: { state: current } });
      if (isFinal(current)) end();
    };
    show(state);
    followed.tell((news) => {
      if (news !== "missed") show(news);
      else ending ??= setTimeout(end, Math.random() * comeAgainWithinMs);
    });
    return () => {
      clearTimeout(ending);
      followed.leave();
    };
  };
}
