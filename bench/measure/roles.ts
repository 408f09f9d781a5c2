import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { type Bench, expectAllAccepted } from "../bench.ts";
import type { Gateway } from "../gateway.ts";
import { cpuText, printTable } from "../report.ts";
import { type Metered, meterCpu } from "../usage.ts";
import { CALLBACKS_A_PAYMENT, untilSettled } from "./cascade.ts";
import { checkResults } from "./check.ts";
import { CONNECTIONS } from "./intake.ts";

const HOUR_MS = 3_600_000;

/** The secret of a credential for REST apart. */
export async function gatewayCredential({ rpcUrl, operatorToken }: Gateway): Promise<string> {
  const transport = remoteTransport(rpcUrl, operatorToken);
  const { credentials } = createClients(transport);
  const expiresAt = timestampFromDate(new Date(Date.now() + HOUR_MS));
  const { secret } = await credentials.addCredential({ name: "rest", scopes: [Scope.GATEWAY], expiresAt });
  transport.close();
  return secret;
}

/** Two processes of each role on this machine: the same results, and what each role costs. Answers what is wrong. */
export async function measureRoles(bench: Bench, count: number): Promise<string[]> {
  const databaseUrl = await bench.services.createDatabase("bench_roles", bench.template);
  const common = { databaseUrl, amqp: { url: bench.services.amqpUrl, prefix: "bench-roles" } };
  const cores = [
    await bench.startGateway({ ...common, roles: ["core"] }),
    await bench.startGateway({ ...common, roles: ["core"] }),
  ];
  const workers = [
    await bench.startGateway({ ...common, roles: ["worker"] }),
    await bench.startGateway({ ...common, roles: ["worker"] }),
  ];
  const secret = await gatewayCredential(cores[0] as (typeof cores)[number]);
  const rests = await Promise.all(
    cores.map(({ rpcUrl }) =>
      bench.startGateway({ ...common, roles: ["rest"], settings: { CORE_URL: rpcUrl, RPC_TOKEN: secret } }),
    ),
  );
  const named = (name: string, gateways: typeof cores): Metered[] => gateways.map(({ pid }) => ({ name, pid }));
  const total = await bench.participants.call<number>("total");
  await bench.prepare(count, [databaseUrl]);
  const spent = meterCpu([
    ...[...named("rest", rests), ...named("core", cores), ...named("worker", workers)],
    ...[...bench.services.processes, ...bench.loadProcesses],
  ]);
  const startedAt = performance.now();
  const half = count / 2;
  await Promise.all(
    rests.map(async ({ restUrl }) => {
      const result = await bench.send(databaseUrl, { url: restUrl, connections: CONNECTIONS / 2, count: half });
      expectAllAccepted("roles apart", result, half);
    }),
  );
  const goal = { total: total + count * CALLBACKS_A_PAYMENT, timeoutMs: 180_000 };
  await bench.participants.call("untilTotal", goal);
  await untilSettled(databaseUrl);
  const seconds = (performance.now() - startedAt) / 1000;
  const each = Object.fromEntries(Object.entries(spent()).map(([name, ms]) => [name, ms / count]));
  printTable(
    "Roles apart: two rest, two core, two worker processes",
    ["payments", "rate", "CPU ms a payment"],
    [[String(count), `${Math.round(count / seconds)}/s`, cpuText(each)]],
  );
  const problems = await checkResults(bench, databaseUrl, cores[1] as (typeof cores)[number]);
  await Promise.all([...rests, ...workers, ...cores].map((gateway) => gateway.stop()));
  return problems;
}
