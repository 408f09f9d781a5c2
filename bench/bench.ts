import { join } from "node:path";
import { importKeySet } from "../src/sdk/keys.ts";
import { type Cast, type CastSize, makeCast, writeParticipants } from "./cast.ts";
import { type Child, startChild } from "./child.ts";
import { type Gateway, type GatewayOptions, startGateway } from "./gateway.ts";
import type { LoadOptions, LoadResult } from "./load/generator.ts";
import { type Batch, insertOrders, newBatch, orderEvidence } from "./payments.ts";
import { type Services, startServices } from "./services.ts";
import type { Metered } from "./usage.ts";

/** What every measurement shares: services, people, load, and the memory of what was accepted where. */
export type Bench = {
  services: Services;
  cast: Cast;
  participants: Child;
  generator: Child;
  /** The name of a database with the schema and the participants and nothing else, to be copied. */
  template: string;
  startGateway(options: Omit<GatewayOptions, "dataDir">): Promise<Gateway>;
  startChild(program: string): Child;
  /** Makes orders for `count` payments in each database and their signed requests in the generator. */
  prepare(count: number, databaseUrls: readonly string[]): Promise<Batch>;
  /** Sends prepared requests; what is accepted is remembered for the check at the end. */
  send(databaseUrl: string | undefined, options: LoadOptions & { keep?: boolean }): Promise<LoadResult>;
  accepted: Map<string, string[]>;
  /** Processes of the load, for the table of processor time. */
  loadProcesses: Metered[];
  stop(): Promise<void>;
};

export const say = (line: string) => process.stderr.write(`${line}\n`);

export async function openBench(size: CastSize): Promise<Bench> {
  const started: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) await end().catch((error: Error) => say(error.message));
  };
  try {
    say("Starting PostgreSQL and RabbitMQ …");
    const services = await startServices();
    started.push(() => services.stop());
    say(services.machine);
    const start = (program: string) => {
      const child = startChild(program);
      started.push(() => child.stop());
      return child;
    };
    const participants = start("load/participants.ts");
    const generator = start("load/generator.ts");
    const count = size.initiators + size.recipients + size.merchants;
    const cast = await makeCast(size, await participants.call<string[]>("listen", count));
    await generator.call("join", cast);
    const evidence = await orderEvidence(cast);
    const accepted = new Map<string, string[]>();
    const bench: Bench = {
      ...{ services, cast, participants, generator, accepted, stop, startChild: start },
      template: "bench_template",
      loadProcesses: [
        { name: "load generator", pid: generator.pid },
        { name: "participants", pid: participants.pid },
      ],
      async startGateway(options) {
        const gateway = await startGateway({ ...options, dataDir: services.folder });
        started.push(() => gateway.stop());
        return gateway;
      },
      async prepare(count, databaseUrls) {
        const batch = newBatch(count);
        await Promise.all(databaseUrls.map((url) => insertOrders(url, batch, cast, evidence)));
        await generator.call("prepare", batch);
        return batch;
      },
      async send(databaseUrl, options) {
        const result = await generator.call<LoadResult>("run", options);
        if (databaseUrl !== undefined) {
          const earlier = accepted.get(databaseUrl) ?? [];
          accepted.set(databaseUrl, [...earlier, ...result.accepted.map(({ orderGuid }) => orderGuid)]);
        }
        return result;
      },
    };
    await makeTemplate(bench);
    return bench;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The gateway itself makes the schema and registers the participants. */
async function makeTemplate(bench: Bench): Promise<void> {
  const file = join(bench.services.folder, "participants.json");
  await writeParticipants(bench.cast, file);
  const databaseUrl = await bench.services.createDatabase(bench.template);
  const gateway = await bench.startGateway({ databaseUrl, settings: { DCM_PARTICIPANTS: file } });
  const jwks = await (await fetch(`${gateway.restUrl}/api/v1/.well-known/jwks.json`)).json();
  if ((await importKeySet(jwks)).length === 0) throw new Error("The gateway publishes no key");
  await gateway.stop();
}

/** Everything is accepted, or the round measured something else than it says. */
export function expectAllAccepted(who: string, result: LoadResult, count: number): void {
  if (result.statuses[201] === count) return;
  throw new Error(`${who}: ${count} requests, answers by status: ${JSON.stringify(result.statuses)}`);
}
