import type { TestProject } from "vitest/node";
import { startRabbitmq } from "./rabbitmq.ts";

// Global setup of the projects that need a broker: one for the whole run. Tests that stop a broker start their own.

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.AMQP_URL;
  if (given) {
    project.provide("amqpUrl", given);
    return undefined;
  }
  const broker = await startRabbitmq();
  project.provide("amqpUrl", broker.url);
  return () => broker.stop();
}
