import { limits } from "../../gen/rest/limits.ts";
import type { PaymentState } from "../domain/order.ts";
import { repeat } from "../repeat.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import { answeredName, paymentStates } from "../wire/enums.ts";
import { RestRefusal } from "./errors.ts";

/** Longer than the core lets a call wait. */
const callOptions = { timeoutMs: 30_000 } as const;
const againAfterMs = 1_000;

/** What somebody who follows an order is told: its new state, or that a change may have been missed. */
type News = PaymentState | "missed";

/** A followed order; what was heard before `tell` is called waits for it. */
export type FollowedOrder = { tell(listener: (news: News) => void): void; leave(): void };

export type OrderFollower = {
  /**
   * Follows an order from now on: what is read of it after this resolves has no gap. Rejects when the core cannot be asked, and as
   * OVERLOADED where too many follow already; whoever is on the way counts.
   */
  follow(orderId: string): Promise<FollowedOrder>;
};

/** A payer has a telephone and a computer, and reloads now and then; whoever opens more takes the places of others. */
const mostOfOneOrder = limits.orderStreams;

type Tell = (news: News) => void;
type Orders = CoreClients["orders"];

/**
 * Asks the core for changes, once for all who follow an order in this process, and only while somebody does. When changes may have
 * been missed everybody is told, and the core is asked on. At most `mostAtOnce` follow.
 */
export function createOrderFollower({ orders }: Pick<CoreClients, "orders">, mostAtOnce: number): OrderFollower {
  const followers = new Map<string, Set<Tell>>();
  let following = 0;
  const tellAll = (news: News, all: Iterable<Tell>) => {
    for (const tell of [...all]) tell(news);
  };
  let asking: Asking | undefined;
  const beginAsking = () =>
    askForChanges(orders, {
      changed: (orderId, state) => tellAll(state, followers.get(orderId) ?? []),
      missed: () =>
        tellAll(
          "missed",
          [...followers.values()].flatMap((all) => [...all]),
        ),
    });

  function leave(orderId: string, tell: Tell): void {
    const all = followers.get(orderId);
    if (all?.delete(tell)) following -= 1;
    if (all?.size === 0) followers.delete(orderId);
    if (followers.size > 0) return;
    asking?.stop();
    asking = undefined;
  }

  return {
    async follow(orderId) {
      const all = followers.get(orderId) ?? new Set();
      if (following >= mostAtOnce || all.size >= mostOfOneOrder) throw new RestRefusal("OVERLOADED");
      const heard: News[] = [];
      let listener: Tell = (news) => heard.push(news);
      const tell = (news: News) => listener(news);
      followers.set(orderId, all.add(tell));
      following += 1;
      asking ??= beginAsking();
      const begun = asking;
      try {
        await begun.begun;
      } catch (error) {
        // The next one who follows begins anew.
        if (asking === begun) asking = undefined;
        leave(orderId, tell);
        throw error;
      }
      return {
        tell(to) {
          listener = to;
          for (const news of heard) to(news);
        },
        leave: () => leave(orderId, tell),
      };
    },
  };
}

/** `begun` resolves when every change from then on will be told. */
type Asking = { begun: Promise<unknown>; stop(): void };
type Listener = { changed(orderId: string, state: PaymentState): void; missed(): void };

/** Asks for changes again and again, each time from where the last answer ended. */
function askForChanges(orders: Orders, listener: Listener): Asking {
  const stopped = new AbortController();
  const ask = (cursor: string) => orders.waitForOrderChanges({ cursor }, { ...callOptions, signal: stopped.signal });
  function askOn(from: string): void {
    let cursor = from;
    const loop = repeat({
      everyMs: againAfterMs,
      async round() {
        const answer = await ask(cursor);
        cursor = answer.cursor;
        if (answer.mayHaveMissed) listener.missed();
        for (const { orderId, state } of answer.changes) listener.changed(orderId, answeredName(paymentStates, state));
        return true;
      },
    });
    stopped.signal.addEventListener("abort", () => void loop.stop());
  }
  const first = ask("");
  first.then(
    ({ cursor }) => {
      if (!stopped.signal.aborted) askOn(cursor);
    },
    () => undefined,
  );
  return { begun: first, stop: () => stopped.abort() };
}
