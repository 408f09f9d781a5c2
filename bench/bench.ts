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
  /** Makes another such database and answers its name. */
  makeTemplate(name: string, options: TemplateOptions): Promise<string>;
  startGateway(options: Omit<GatewayOptions, "dataDir">): Promise<Gateway>;
  startChild(program: string): Child;
  /** Makes orders for `count` payments in each database and their signed requests in the generator. */
  prepare(count: number, databaseUrls: readonly string[], step?: number): Promise<Batch>;
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
      makeTemplate: (name, options) => makeTemplate(bench, name, options),
      loadProcesses: [
        { name: "load generator", pid: generator.pid },
        { name: "participants", pid: participants.pid },
      ],
      async startGateway(options) {
        const gateway = await startGateway({ ...options, dataDir: services.folder });
        started.push(() => gateway.stop());
        return gateway;
      },
      async prepare(count, databaseUrls, step) {
        const batch = newBatch(count, step);
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
    await makeTemplate(bench, bench.template);
    return bench;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** `callbackAlg`: what receivers want their callbacks signed with. `root`: the program that makes the schema. */
export type TemplateOptions = { callbackAlg?: string; root?: string };

/** The gateway itself makes the schema and registers the participants. */
async function makeTemplate(bench: Bench, name: string, { callbackAlg, root }: TemplateOptions = {}): Promise<string> {
  const file = join(bench.services.folder, `${name}.json`);
  await writeParticipants(bench.cast, file, callbackAlg);
  const databaseUrl = await bench.services.createDatabase(name);
  const gateway = await bench.startGateway({ databaseUrl, root, settings: { DCM_PARTICIPANTS: file } });
  const jwks = await (await fetch(`${gateway.restUrl}/api/v1/.well-known/jwks.json`)).json();
  if ((await importKeySet(jwks)).length === 0) throw new Error("The gateway publishes no key");
  await gateway.stop();
  return name;
}

/** Everything is accepted, or the round measured something else than it says. */
export function expectAllAccepted(who: string, result: LoadResult, count: number): void {
  if (result.statuses[201] === count) return;
  throw new Error(`${who}: ${count} requests, answers by status: ${JSON.stringify(result.statuses)}`);
}
