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
  /** Refuses where too many follow the order already: to be asked first. */
  checkRoom(orderId: string): void;
  /** Follows an order from now on: what is read of it after this resolves has no gap. Rejects when the core cannot be asked. */
  follow(orderId: string): Promise<FollowedOrder>;
};

/** A payer has a telephone and a computer, and reloads now and then; whoever opens more takes the places of others. */
const mostOfOneOrder = 20;

/**
 * Asks the core for changes, once for all who follow an order in this process, and only while somebody does. When changes may have
 * been missed everybody is told, and the core is asked on.
 */
export function createOrderFollower({ orders }: Pick<CoreClients, "orders">): OrderFollower {
  const followers = new Map<string, Set<(news: News) => void>>();
  let cursor: Promise<string> | undefined;
  let asking: { stop(): void } | undefined;

  function tellAll(): void {
    for (const tell of [...followers.values()].flatMap((all) => [...all])) tell("missed");
  }

  async function firstCursor(): Promise<string> {
    return (await orders.waitForOrderChanges({ cursor: "" }, callOptions)).cursor;
  }

  /** Asks on from a cursor until it is stopped. */
  function askOn(from: string): { stop(): void } {
    const stopped = new AbortController();
    let next = from;
    const loop = repeat({
      everyMs: againAfterMs,
      async round() {
        const options = { ...callOptions, signal: stopped.signal };
        const answer = await orders.waitForOrderChanges({ cursor: next }, options);
        next = answer.cursor;
        if (answer.mayHaveMissed) tellAll();
        for (const { orderId, state } of answer.changes) {
          const name = answeredName(paymentStates, state);
          for (const tell of [...(followers.get(orderId) ?? [])]) tell(name);
        }
        return true;
      },
    });
    return {
      stop() {
        stopped.abort();
        void loop.stop();
      },
    };
  }

  function begin(): Promise<string> {
    const begun = firstCursor();
    begun.then(
      (from) => {
        if (cursor === begun) asking = askOn(from);
      },
      () => {
        if (cursor === begun) cursor = undefined;
      },
    );
    return begun;
  }

  function leave(orderId: string, tell: (news: News) => void): void {
    const all = followers.get(orderId);
    all?.delete(tell);
    if (all?.size === 0) followers.delete(orderId);
    if (followers.size > 0) return;
    asking?.stop();
    asking = undefined;
    cursor = undefined;
  }

  return {
    checkRoom(orderId) {
      if ((followers.get(orderId)?.size ?? 0) >= mostOfOneOrder) throw new RestRefusal("OVERLOADED");
    },
    async follow(orderId) {
      const heard: News[] = [];
      let listener: (news: News) => void = (news) => heard.push(news);
      const tell = (news: News) => listener(news);
      const all = followers.get(orderId) ?? new Set();
      followers.set(orderId, all.add(tell));
      cursor ??= begin();
      try {
        await cursor;
      } catch (error) {
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
