import type { Channel } from "rabbitmq-client";
import type { MessageBody } from "./publisher.ts";
import { LANES, type QueueDepths } from "./queue.ts";
import { encodeTickets, readTickets } from "./ticket.ts";
import type { Topology } from "./topology.ts";

/** How many dead messages are moved per round trip. */
const REDRIVE_CHUNK = 100;

export async function readDepths(channel: Channel, topology: Topology): Promise<QueueDepths> {
  const ready = async (queue: string): Promise<number> =>
    (await channel.queueDeclare({ queue, passive: true })).messageCount;
  const sum = async (queues: readonly string[]): Promise<number> => {
    let total = 0;
    for (const queue of queues) total += await ready(queue);
    return total;
  };
  return {
    first: await ready(topology.lanes.first),
    retry: await ready(topology.lanes.retry),
    delayed: await sum(topology.rungs.map((rung) => rung.queue)),
    parked: await sum(LANES.map((lane) => topology.parked[lane])),
    dead: await ready(topology.dead),
  };
}

export type Redrive = {
  topology: Topology;
  put(queue: string, bodies: readonly MessageBody[]): Promise<void>;
  onChannel<T>(errand: (channel: Channel) => Promise<T>): Promise<T>;
};

/** Moves at most as many messages as there were at the start: those that go back to the tail must not be met again. */
export async function redriveDead(redrive: Redrive, limit: number): Promise<number> {
  let moved = 0;
  let unseen = Number.POSITIVE_INFINITY;
  while (moved < limit && unseen > 0) {
    const wanted = Math.min(limit - moved, unseen, REDRIVE_CHUNK);
    const chunk = await redrive.onChannel((channel) => redriveChunk(redrive, channel, wanted));
    moved += chunk.moved;
    unseen = Math.min(unseen - chunk.seen, chunk.left);
  }
  return moved;
}

/** Moves one chunk. A message without tickets goes back to the tail, so that it does not block the tickets behind it. */
async function redriveChunk({ topology, put }: Redrive, channel: Channel, wanted: number) {
  const messages = [];
  let left = 0;
  while (messages.length < wanted) {
    const message = await channel.basicGet({ queue: topology.dead });
    left = message?.messageCount ?? 0;
    if (message === undefined) break;
    messages.push({ ...message, tickets: readTickets(message.body) });
  }
  const tickets = messages.flatMap((message) => message.tickets ?? []);
  const others = messages.filter((message) => message.tickets === undefined);
  // Copies first, then acknowledgements (at least once): a crash in between duplicates, and never loses.
  await put(topology.lanes.retry, encodeTickets(tickets));
  await put(
    topology.dead,
    others.map(({ body }) => body),
  );
  for (const { deliveryTag } of messages) channel.basicAck({ deliveryTag });
  return { seen: messages.length, moved: tickets.length, left };
}
