import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import type { Broker } from "./rabbitmq.ts";
import { freePorts } from "./services-folder.ts";
import { untilAccepting } from "./services-rabbitmq-ready.ts";

const IMAGE = "rabbitmq:4.1-alpine";

/** The same broker in a container: its port and its data live as long as the container does. */
export async function dockerBroker(): Promise<Broker> {
  const [port = 0] = await freePorts(1);
  const name = `dcm-test-rabbitmq-${randomBytes(4).toString("hex")}`;
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  const docker = async (...args: string[]) => (await promisify(execFile)("docker", args)).stdout;
  // The host name is part of the node's name, and with it of the place of the data.
  const create = ["create", "--name", name, "--hostname", name, "--publish", `127.0.0.1:${port}:5672`, IMAGE];
  process.stderr.write(`Starting RabbitMQ for the tests with Docker (${IMAGE}) …\n`);
  await docker(...create);
  return {
    url,
    async start() {
      await docker("start", name);
      await untilAccepting(url, () => undefined);
    },
    async kill() {
      await docker("kill", "--signal", "KILL", name);
      await docker("wait", name);
    },
    async stop() {
      await docker("rm", "--force", "--volumes", name);
    },
    ctl: (...args) => docker("exec", name, "rabbitmqctl", ...args),
  };
}
