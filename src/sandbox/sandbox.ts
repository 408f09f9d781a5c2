import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { DeepLinkContent } from "../../gen/dcm/v1/participant_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { openBooks } from "./books.ts";
import type { Call } from "./inbox.ts";
import { openLedger } from "./ledger.ts";
import { registerBank, registerMerchant } from "./onboarding.ts";
import { runOnce, summarise } from "./once.ts";
import type { SandboxOptions } from "./options.ts";
import { startBank, startMerchant } from "./participants.ts";
import { type Cast, runPayments } from "./payments.ts";
import { type Party, SCENARIOS, type Scenario } from "./scenarios.ts";
import { openShop } from "./shop.ts";

/** What the sandbox sets in the platform's configuration in addition to the deployment's own settings. */
type PlatformWishes = {
  dataDir: string;
  /** The participants listen on loopback, which the address guard allows only if it is listed here. */
  callbackAllowCidrs: string[];
  retryDelaysMs?: number[];
  /** 0 takes any free port; left out, the deployment's ports hold. */
  restPort?: number;
  rpcPort?: number;
};
type Platform = {
  urls: { rest: string; rpc: string };
  /** The credential for operator calls over RPC. */
  operatorToken: string;
  stop(): Promise<void>;
};
export type StartPlatform = (wishes: PlatformWishes) => Promise<Platform>;

/** The contract's waits: 1 + 2 + 4 + 8 + 16 + 32 + 4 × 60 = 303 s. */
const RETRY_DELAYS_MS = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((seconds) => seconds * 1000);
/** A hundredth of them: 3 s in all. */
const FAST_RETRY_DELAYS_MS = RETRY_DELAYS_MS.map((delayMs) => delayMs / 100);

/** The exit code that shells expect of a program ended by Ctrl+C. */
const EXIT_STOPPED = 130;

/** Runs the sandbox and answers the exit code: 0 when everything added up. */
export async function runSandbox(options: SandboxOptions, startPlatform: StartPlatform): Promise<number> {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), "dcm-sandbox-"));
  cleanup.defer(() => rm(dataDir, { recursive: true, force: true }));
  // PostgreSQL may run under another account than ours, and must be able to reach its folder inside.
  await chmod(dataDir, 0o711);

  say("Starting the platform …");
  const platform = await startPlatform({
    dataDir,
    callbackAllowCidrs: ["127.0.0.0/8"],
    ...(options.fastRetries ? { retryDelaysMs: FAST_RETRY_DELAYS_MS } : {}),
    ...(options.once ? { restPort: 0, rpcPort: 0 } : {}),
  });
  cleanup.defer(() => platform.stop());
  const sessions = new Http2SessionManager(platform.urls.rpc);
  cleanup.defer(() => sessions.abort());
  const asOperator: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${platform.operatorToken}`);
    return next(request);
  };
  const transport = createGrpcTransport({
    baseUrl: platform.urls.rpc,
    sessionManager: sessions,
    interceptors: [asOperator],
  });

  const scenario = SCENARIOS[options.scenario];
  const ledger = openLedger(scenario.deliveries);
  const books = { initiator: openBooks(), recipient: openBooks() };
  const shop = options.once ? undefined : await openShop();
  cleanup.defer(() => shop?.stop());
  const cast = await startCast(scenario, { ...options, appPrefix: shop?.appPrefix }, (party, call) => {
    ledger.record(party, call);
    if (options.once && party !== "merchant") books[party].record(call);
    if (!options.once) console.log(trace(party, call));
  });
  cleanup.defer(async () => void (await Promise.all(Object.values(cast).map((participant) => participant.stop()))));
  await onboard(cast, { participants: createClient(ParticipantService, transport), restUrl: platform.urls.rest });
  shop?.serves({ merchant: cast.merchant, bank: cast.initiator, platformUrl: platform.urls.rest });

  const retryDelaysMs = options.fastRetries ? FAST_RETRY_DELAYS_MS : RETRY_DELAYS_MS;
  const run = { cast, scenario, ledger, books, retryDelaysMs };
  const stopped = listenForStop();
  cleanup.defer(stopped.ignore);
  if (shop !== undefined) {
    await stayOpen(options, { ...platform.urls, shop: shop.url }, run, stopped.promise);
    return 0;
  }
  const settlement = createClient(SettlementService, transport);
  const { settle, payments } = options;
  const result = await Promise.race([runOnce(payments, { ...run, settle, settlement, say }), stopped.promise]);
  for (const problem of ledger.problems) say(`Problem: ${problem}`);
  // The platform stops first, so that none of its messages comes after the last line.
  await cleanup.disposeAsync();
  if (!result) return EXIT_STOPPED;
  console.log(options.json ? JSON.stringify(result) : summarise(result));
  return ledger.counts.problems === 0 ? 0 : 1;
}

/** One promise for both signals; `ignore` restores their default handling. */
function listenForStop() {
  const listening = new AbortController();
  const { signal } = listening;
  const promise = Promise.race([once(process, "SIGINT", { signal }), once(process, "SIGTERM", { signal })])
    .then(() => undefined)
    .catch(() => undefined);
  return { promise, ignore: () => listening.abort() };
}

async function startCast(
  scenario: Scenario,
  { once, settle, appPrefix }: SandboxOptions & { appPrefix: string | undefined },
  hear: (party: Party, call: Call) => void,
) {
  const listening = (party: Party) => ({
    onCall: (call: Call) => hear(party, call),
    ...(once && { keepCalls: 0 }),
  });
  const [initiator, recipient] = await Promise.all([
    startBank({
      ...listening("initiator"),
      name: "Dnipro Bank",
      roles: ["initiator"],
      deepLinkPrefix: appPrefix,
    }),
    startBank({
      ...listening("recipient"),
      name: "Kobzar Bank",
      roles: settle ? ["initiator", "recipient"] : ["recipient"],
    }),
  ]);
  const merchant = await startMerchant({ ...listening("merchant"), name: "Kyiv Books", bank: recipient });
  const cast: Cast = { initiator, recipient, merchant };
  for (const { by, kind, reply } of scenario.answers) {
    // A party that refuses payments still accepts the callback that tells it of the reject.
    cast[by].answers(kind, ({ status }) => (status === "reject" ? 200 : reply));
  }
  return cast;
}

async function onboard(cast: Cast, platform: Parameters<typeof registerBank>[0]) {
  // One bank requires that its changes bind their body, which the SDK's client always does.
  const initiator = registerBank(platform, cast.initiator, { requiresBodySha256: true });
  // The other one has the order's id in its links, like banks that were registered before signed orders.
  const recipient = registerBank(platform, cast.recipient, { deepLinkContent: DeepLinkContent.ORDER_ID });
  await Promise.all([initiator, recipient]);
  await registerMerchant(platform, cast.merchant);
}

/** Prints the addresses, runs the first payments, and keeps running until it is stopped. */
async function stayOpen(
  options: SandboxOptions,
  urls: { rest: string; rpc: string; shop: string },
  run: Omit<Parameters<typeof runPayments>[1], "internal" | "onDone">,
  stopped: Promise<void>,
) {
  const { initiator, recipient, merchant } = run.cast;
  const places = [
    ["REST", urls.rest],
    ["documentation", `${urls.rest}/docs`],
    ["RPC", urls.rpc],
    ["shop to buy in", urls.shop],
    [`initiator ${initiator.name}`, `${initiator.url}  bic ${initiator.bic}  guid ${initiator.guid}`],
    [`recipient ${recipient.name}`, `${recipient.url}  bic ${recipient.bic}  guid ${recipient.guid}`],
    [`merchant ${merchant.name}`, `${merchant.url}  uid ${merchant.uid}`],
  ];
  for (const [name = "", place] of places) console.log(`${name.padEnd(24)} ${place}`);
  console.log("Press Enter for a further payment, Ctrl+C to stop.\n");

  const pay = async (count: number) => {
    const known = run.ledger.problems.length;
    const outcome = await runPayments(count, { ...run, internal: 0, onDone: () => {} });
    for (const problem of run.ledger.problems.slice(known)) say(`Problem: ${problem}`);
    console.log(`${clock(new Date())} ended: ${outcome.success} successful, ${outcome.rejected} rejected\n`);
  };
  const keyboard = process.stdin.isTTY ? createInterface({ input: process.stdin }) : undefined;
  keyboard?.on("line", () => void pay(1));
  void pay(options.payments);
  // While lines are read from a terminal, Ctrl+C is an event of the reader and not a signal of the process.
  await Promise.race([stopped, ...(keyboard ? [once(keyboard, "SIGINT"), once(keyboard, "close")] : [])]);
  keyboard?.close();
  say("Stopping …");
}

/** One line per callback, to be read from left to right: when, who, what, how it was answered. */
function trace(party: Party, call: Call): string {
  const what = `${call.kind} ${call.status ?? ""}`.padEnd(24);
  const about = call.guid ? `payment ${call.guid}` : `callback ${call.callbackGuid}`;
  const attempt = call.attempt > 1 ? ` attempt ${call.attempt}` : "";
  const reason = call.reason ? `  ${call.reason}` : "";
  const verdict = call.problem ? ` NOT VERIFIED (${call.problem})` : "";
  return `${clock(call.at)} ${party.padEnd(9)} <- ${what} ${about} -> ${call.answered}${attempt}${verdict}${reason}`;
}

function clock(at: Date): string {
  return at.toISOString().slice(11, 23);
}

/** Words for people go to stderr: stdout belongs to the result. */
function say(line: string) {
  process.stderr.write(`${line}\n`);
}
