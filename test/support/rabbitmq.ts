import { dockerBroker } from "./services-rabbitmq-docker.ts";
import { findRabbitmq } from "./services-rabbitmq-find.ts";
import { privateBroker } from "./services-rabbitmq-private.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The broker that test files share: each declares queues under names of its own. */
    amqpUrl: string;
  }
}

export type Broker = {
  /** Stays the same over kill() and start(). */
  url: string;
  /** Ends it as a power cut would (kill -9); the data stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; resolves when it accepts AMQP connections. */
  start(): Promise<void>;
  /** Ends it for good and removes its data. */
  stop(): Promise<void>;
  /** Runs rabbitmqctl against it, for example ctl("set_vm_memory_high_watermark", "0.00001"). */
  ctl(...args: string[]): Promise<string>;
};

/** A broker of the caller's own on a free port, already accepting connections. */
export async function startRabbitmq(): Promise<Broker> {
  const found = await findRabbitmq();
  const broker = found.kind === "server" ? await privateBroker(found.scriptsFolder) : await dockerBroker();
  try {
    await broker.start();
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}
