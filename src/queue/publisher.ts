import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import type { Channel, Connection } from "rabbitmq-client";
import type { QueueLog } from "./queue.ts";

/** Messages sent and not yet confirmed. 4,096 tickets × about 0.3 KiB: a silent broker ties up about 1.2 MiB at most. */
const MAX_UNCONFIRMED = 4_096;

const CHANNEL_RETRY_MS = 250;

export type MessageBody = Buffer | string | object;

/** The messages of one send. `next` is the first not yet written; `unconfirmed` counts those whose confirm is still open. */
type Batch = {
  readonly id: number;
  readonly queue: string;
  readonly bodies: readonly MessageBody[];
  readonly returned: number[];
  next: number;
  unconfirmed: number;
  /** Ends the batch with the indexes of returned messages, or with an error; only the first end counts. */
  end(error?: Error): void;
};

export type Publisher = {
  /** Resolves with the indexes of messages the broker returned as unroutable (normally none) once all others are confirmed. */
  send(queue: string, bodies: readonly MessageBody[], deadlineMs: number): Promise<number[]>;
  /** Writes the waiting messages; to be called when the gate has opened. */
  flush(): void;
  isOpen(): boolean;
  /** Refuses further sends, and resolves when none is open any more. Every send has a deadline, so this ends. */
  drain(): Promise<void>;
};

type PublisherOptions = {
  connection: Connection;
  /** False while the queues are not declared, because messages would be returned as unroutable. */
  gateIsOpen: () => boolean;
  log: QueueLog;
  signal: AbortSignal;
};

/**
 * Confirmed publishing with many messages in flight and a deadline for each send.
 * Nothing is written while the broker blocks us or the gate is shut: a message waits in its batch, and the batch is
 * forgotten at its deadline, so an outage neither hangs callers nor grows memory.
 */
export function createPublisher({ connection, gateIsOpen, log, signal }: PublisherOptions): Publisher {
  const held = new Set<Batch>();
  const open = new Map<number, Batch>();
  const line = keepConfirmChannel({ connection, log, signal, onOpen: flush, onReturn: noteReturn });
  let unconfirmed = 0;
  let lastId = 0;
  let draining = false;

  function flush(): void {
    for (const batch of held) {
      while (batch.next < batch.bodies.length) {
        const channel = gateIsOpen() ? line.channel() : undefined;
        if (channel === undefined || unconfirmed >= MAX_UNCONFIRMED) return;
        void write(channel, batch, batch.next++);
      }
      held.delete(batch);
    }
  }

  async function write(channel: Channel, batch: Batch, index: number): Promise<void> {
    unconfirmed += 1;
    try {
      await channel.basicPublish(envelopeOf(batch, index), batch.bodies[index] ?? "");
      batch.unconfirmed -= 1;
      if (batch.unconfirmed === 0) {
        // An unroutable message is returned just before its confirm, but the client library reports the return one turn later.
        await nextTurn();
        batch.end();
      }
    } catch (error) {
      if ((error as { code?: unknown }).code === "NACK") line.replace(channel);
      batch.end(error instanceof Error ? error : new Error(String(error)));
    } finally {
      unconfirmed -= 1;
      flush();
    }
  }

  function noteReturn(messageId: string | undefined): void {
    const [id, index] = (messageId ?? "").split(":").map(Number);
    if (id !== undefined && index !== undefined) open.get(id)?.returned.push(index);
  }

  function send(queue: string, bodies: readonly MessageBody[], deadlineMs: number): Promise<number[]> {
    if (draining) return Promise.reject(new Error("publishing failed: the queue is closed"));
    const { batch, ended } = createBatch(++lastId, queue, bodies, () => {
      clearTimeout(timer);
      held.delete(batch);
      open.delete(batch.id);
    });
    const late = () => batch.end(new Error(line.trouble() ?? "the broker has not confirmed in time"));
    const timer = setTimeout(late, deadlineMs);
    open.set(batch.id, batch);
    held.add(batch);
    flush();
    return ended;
  }

  async function drain(): Promise<void> {
    draining = true;
    while (open.size > 0) await pause(20);
  }

  return { send, flush, isOpen: () => gateIsOpen() && line.channel() !== undefined, drain };
}

/** `forget` is called as soon as the batch ends; messages that have not been written by then are not written any more. */
function createBatch(id: number, queue: string, bodies: readonly MessageBody[], forget: () => void) {
  const { promise: ended, resolve, reject } = Promise.withResolvers<number[]>();
  const batch: Batch = {
    id,
    queue,
    bodies,
    returned: [],
    next: 0,
    unconfirmed: bodies.length,
    end(error) {
      forget();
      if (error) reject(new Error(`publishing failed: ${error.message}`, { cause: error }));
      else resolve(batch.returned);
    },
  };
  return { batch, ended };
}

/** `mandatory`: a message that no queue takes comes back instead of vanishing; the message id leads to its batch. */
function envelopeOf({ id, queue }: Batch, index: number) {
  return {
    routingKey: queue,
    messageId: `${id}:${index}`,
    contentType: "application/json",
    durable: true,
    mandatory: true,
  };
}

type ConfirmChannel = {
  /** The channel, if it can be written to now. */
  channel(): Channel | undefined;
  /** Why nothing can be written now. */
  trouble(): string | undefined;
  /** Replaces a channel on which the broker refused a message, unless that has been done already. */
  replace(channel: Channel): void;
};

/** Keeps one channel in confirm mode open, across reconnects and channel errors, until the signal. */
function keepConfirmChannel(options: {
  connection: Connection;
  log: QueueLog;
  signal: AbortSignal;
  onOpen: () => void;
  onReturn: (messageId: string | undefined) => void;
}): ConfirmChannel {
  const { connection, log, signal, onOpen, onReturn } = options;
  let current: Channel | undefined;
  let blockedBecause: string | undefined;

  connection.on("connection.blocked", (reason) => {
    blockedBecause = reason;
    log.warn({ reason }, "the broker blocks publishing");
  });
  connection.on("connection.unblocked", () => {
    blockedBecause = undefined;
    log.info({}, "the broker accepts publishing again");
    onOpen();
  });
  signal.addEventListener("abort", () => void current?.close());
  void keepOpen();

  async function keepOpen(): Promise<void> {
    while (!signal.aborted) {
      try {
        const channel = await connection.acquire({ emitErrorsFromChannel: true });
        const closed = new Promise<void>((resolve) => channel.once("close", resolve));
        channel.on("error", (error) => log.warn({ err: error }, "publishing channel failed"));
        channel.on("basic.return", ({ messageId }) => onReturn(messageId));
        await channel.confirmSelect();
        // A blocked connection writes nothing, so a channel could not have been opened on one.
        blockedBecause = undefined;
        current = channel;
        onOpen();
        await closed;
      } catch {
        // The connection logs its own loss; here it only matters to try again, with a pause.
        await pause(CHANNEL_RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  return {
    channel: () => (current?.active && blockedBecause === undefined ? current : undefined),
    trouble() {
      if (!current?.active) return "there is no connection to the broker";
      if (blockedBecause !== undefined) return `the broker blocks publishing (${blockedBecause})`;
      return undefined;
    },
    // A channel that was opened before the queues had a leader, as right after the broker's restart, refuses everything as long as
    // it lives; a new one works.
    replace(channel) {
      if (channel !== current) return;
      current = undefined;
      log.warn({}, "the broker refused a message; publishing on a new channel");
      channel.close().catch(() => undefined);
    },
  };
}
