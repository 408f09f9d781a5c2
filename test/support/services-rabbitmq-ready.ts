import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "rabbitmq-client";

const READY_DEADLINE_MS = 90_000;
const POLL_MS = 100;

/** Resolves when a client can log in and open a channel; rejects when the broker ended or took too long. */
export async function untilAccepting(url: string, whyEnded: () => string | undefined): Promise<void> {
  const deadline = Date.now() + READY_DEADLINE_MS;
  for (;;) {
    const ended = whyEnded();
    if (ended !== undefined) throw new Error(`RabbitMQ ended while starting: ${ended}`);
    if (await accepts(url)) return;
    if (Date.now() > deadline) throw new Error(`RabbitMQ did not accept connections within ${READY_DEADLINE_MS} ms`);
    await sleep(POLL_MS);
  }
}

async function accepts(url: string): Promise<boolean> {
  const connection = new Connection({ url, connectionTimeout: 5_000, retryLow: 60_000 });
  return await new Promise<boolean>((done) => {
    connection.once("error", () => done(false));
    connection.once("connection", () =>
      connection
        .acquire()
        .then((channel) => channel.close())
        .then(
          () => done(true),
          () => done(false),
        ),
    );
  }).finally(() => connection.close());
}
