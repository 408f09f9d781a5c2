import { readFile } from "node:fs/promises";
import type { Writable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { type Given, printable, type Terminal } from "../commandLine.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import { nameOf } from "../wire/enums.ts";
import { type Action, type Call, NotDone, type RecoveredKeys } from "./action.ts";
import { writeTo } from "./output.ts";

/** What the commands need from outside; tests replace it. */
export type Surroundings = Terminal & {
  clients: CoreClients;
  /** For the error message when the core cannot be reached. */
  coreUrl: string;
  /** Default: standard output. */
  output?: Writable;
  now?: Date;
  /** How often long-running work is reported as still running. */
  stillRunsEveryMs?: number;
  recoverKeys?: () => Promise<RecoveredKeys>;
};

/** Often enough for somebody who wonders whether anything is happening. */
const defaultStillRunsEveryMs = 10_000;

const exitFailed = 1;
/** Runs an action and answers the exit code: 0 done, 1 refused, not reached, or something is wrong. */
export async function runAction(action: Action, given: Given, around: Surroundings): Promise<number> {
  try {
    const answer = await action.run(callOf(given, around));
    if (given.isOn("json")) around.print(JSON.stringify(answer.json));
    else if (Symbol.asyncIterator in answer.lines) await writeTo(outputOf(around), endedLines(answer.lines));
    else for (const line of answer.lines) around.print(line);
    return answer.isAlarming ? exitFailed : 0;
  } catch (error) {
    for (const line of problemLines(error, around.coreUrl)) around.complain(printable(line));
    return exitFailed;
  }
}

const outputOf = (around: Surroundings) => around.output ?? process.stdout;

async function* endedLines(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}

const callOf = (given: Given, around: Surroundings): Call => ({
  ...given,
  clients: around.clients,
  readText: (path) => (path === "-" ? readAll(process.stdin) : readFile(path, "utf8")),
  output: outputOf(around),
  now: around.now ?? new Date(),
  recoverKeys: around.recoverKeys,
  patiently: (what, work, remark) => patiently([what, remark], work, around),
});

async function patiently<T>(
  [what, remark]: readonly [string, string | undefined],
  work: Promise<T>,
  around: Surroundings,
): Promise<T> {
  const startedAt = performance.now();
  const stillRuns = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    around.complain([`${what} still runs after ${seconds} s.`, remark].filter(Boolean).join(" "));
  }, around.stillRunsEveryMs ?? defaultStillRunsEveryMs);
  try {
    return await work;
  } finally {
    clearInterval(stillRuns);
  }
}

const unreachable = (coreUrl: string) =>
  `Is the gateway running? CORE_URL, or RPC_HOST and RPC_PORT, say where its RPC listens; it was sought at ${coreUrl}.`;

/** Advice for reasons that do not themselves say what to do next. */
const nextStepOf: Partial<Record<keyof typeof ErrorReason, string>> = {
  CREDENTIAL_EXISTS: "`services list` shows all of them.",
  CREDENTIAL_NOT_FOUND: "`services list` shows all of them.",
  PARTICIPANT_EXISTS: "`participants show` shows it; `participants update GUID FILE` changes it.",
  PARTICIPANT_NOT_FOUND: "`participants list` shows who is registered.",
  PARTICIPANT_CHANGED:
    "`participants show GUID` shows it as it is now; decide anew and give the version that it has then.",
  PARTICIPANT_NOT_SUSPENDED: "`participants suspend GUID` comes first.",
  PARTICIPANT_IN_USE:
    "Let that come to its end, and close its merchants; `callbacks list --receiver GUID` and `registers list GUID` show what is left.",
  PARTICIPANT_CLOSED: "That is for ever; `participants show GUID` tells what it was.",
  KEY_NOT_FOUND: "`participants show GUID` lists its keys with their numbers.",
  CALLBACK_NOT_FOUND: "`callbacks list` shows what there is.",
  CALLBACK_NOT_REPLAYABLE: "`callbacks show GUID` tells where it stands.",
  REGISTER_NOT_FOUND: "`registers list BANK_GUID` shows the registers of a bank.",
  REGISTER_NOT_PAID: "`registers show REGISTER_ID` tells where it stands and what happened to it.",
  DAY_IS_NOT_OVER: "Wait until 00:01 in Kyiv, or give --allow-open-day.",
  INVALID_CALLBACK_URL: "Correct the URL, or allow its network with CALLBACK_ALLOW_CIDRS, and run this again.",
  INVALID_KEY: "Correct the key, or add another one first, and run this again; nothing was stored.",
  INVALID_REQUEST: "Correct it and run this again; nothing was stored.",
  OVERLOADED: "Run this again in a moment; `/readyz` tells what is missing.",
  KEY_ROTATION_UNDER_WAY: "`keys list` shows it; --at-once replaces it, and every other key of the algorithm, now.",
  INTERNAL_ERROR: "The log of the core tells more.",
};

/** Advice for errors without a reason, by the code of Connect and gRPC. */
const nextStepOfCode: Partial<Record<Code, (coreUrl: string) => string>> = {
  [Code.Unavailable]: unreachable,
  [Code.DeadlineExceeded]: () => "The core did not answer in time; `/readyz` tells what is missing.",
  [Code.Unauthenticated]: () =>
    "Give a good one with RPC_TOKEN or RPC_TOKEN_FILE; the core's first start left one in its DATA_DIR/operator-token.",
  [Code.PermissionDenied]: () => "`services add NAME --scope SCOPE` makes another credential.",
  [Code.Unimplemented]: (coreUrl) => `What answers at ${coreUrl} is not the core, or an older one.`,
};

function problemLines(error: unknown, coreUrl: string): string[] {
  if (error instanceof NotDone) return [error.message];
  if (!(error instanceof ConnectError)) throw error;
  const [detail] = error.findDetails(ErrorDetailSchema);
  if (detail === undefined) {
    return [error.rawMessage, (nextStepOfCode[error.code] ?? unreachable)(coreUrl)];
  }
  const reason = nameOf(ErrorReason, detail.reason) ?? "UNSPECIFIED";
  const next = nextStepOf[reason];
  return [`${reason}: ${detail.message}`, ...(next === undefined ? [] : [next])];
}
