import { readFile } from "node:fs/promises";
import type { Writable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import type { CoreClients } from "../rpc/clients.ts";
import { nameOf } from "../wire/enums.ts";
import {
  type Action,
  type Call,
  type Group,
  NotDone,
  type OptionSpec,
  type RecoveredKeys,
  WrongCall,
} from "./action.ts";
import { auditAction } from "./audit.ts";
import { callbackActions, redriveAction } from "./callbacks.ts";
import { keyActions } from "./keys.ts";
import { writeTo } from "./output.ts";
import { participantActions } from "./participants.ts";
import { orderActions, paymentActions } from "./payments.ts";
import { reconcileAction } from "./reconcile.ts";
import { registerActions } from "./registers.ts";
import { serviceActions } from "./services.ts";
import { printable } from "./table.ts";

/** Every command of the operators; the help texts and the dispatcher below are this table. */
export const groups = {
  participants: {
    summary: "Banks and merchants: look at them, register, change, suspend and close them; their keys.",
    actions: participantActions,
  },
  orders: { summary: "Orders of merchants: look at them.", actions: orderActions },
  payments: { summary: "Payment messages of banks: look at them.", actions: paymentActions },
  callbacks: { summary: "Callbacks: look at them, deliver them again, close reviews.", actions: callbackActions },
  registers: {
    summary: "Gross settlement registers: close days, look at registers, write them to files, reopen them.",
    actions: registerActions,
  },
  services: {
    summary: "Credentials of services that call the core: make, list and revoke them.",
    actions: serviceActions,
  },
  keys: {
    summary: "Signing keys of the platform: look at them, rotate them, make new ones when the master key is lost.",
    actions: keyActions,
  },
  audit: {
    summary: "The audit trail: every change that is not a payment's own course.",
    actions: { "": auditAction },
  },
  reconcile: {
    summary: "Registers, their payments and their acts: do they add up?",
    actions: { "": reconcileAction },
  },
  redrive: { summary: "Dead callbacks and dead tickets: let them go on.", actions: { "": redriveAction } },
} as const satisfies Record<string, Group>;

export type GroupName = keyof typeof groups;

/** What the commands need from outside; tests hand in their own. */
export type Surroundings = {
  clients: CoreClients;
  /** For the message when nobody answers. */
  coreUrl: string;
  print(line: string): void;
  complain(line: string): void;
  /** Default: standard output. */
  output?: Writable;
  now?: Date;
  /** How often work that takes long is said to be still running. */
  stillRunsEveryMs?: number;
  recoverKeys?: () => Promise<RecoveredKeys>;
};

/** Often enough for somebody who wonders whether anything happens. */
const defaultStillRunsEveryMs = 10_000;

const exitFailed = 1;
const exitUsage = 2;

const commonOptions = {
  json: { type: "boolean", value: "", help: "Print the answer as JSON." },
  help: { type: "boolean", value: "", help: "Print this help." },
} as const;

/** Runs one command and answers the exit code: 0 done, 1 refused, not reached or not as it should be, 2 called wrongly. */
export async function runOperator(name: GroupName, args: readonly string[], around: Surroundings): Promise<number> {
  try {
    const group: Group = groups[name];
    const only = group.actions[""];
    const [first] = args;
    if (only === undefined && (first === undefined || first.startsWith("-"))) {
      for (const line of groupHelp(name)) around.print(line);
      return args.includes("--help") ? 0 : exitUsage;
    }
    const action = only ?? (Object.hasOwn(group.actions, first ?? "") ? group.actions[first ?? ""] : undefined);
    if (action === undefined) throw new WrongCall(`${name} ${first} is not a command`);
    return await runAction(name, action, only ? args : args.slice(1), around);
  } catch (error) {
    if (!(error instanceof WrongCall)) throw error;
    around.complain(printable(error.message));
    around.complain(`\`npm run dcm -- ${name} --help\` lists every command and option.`);
    return exitUsage;
  }
}

async function runAction(name: GroupName, action: Action, args: readonly string[], around: Surroundings) {
  const { values, positionals } = parse(action, args);
  if (values.help === true) {
    for (const line of groupHelp(name)) around.print(line);
    return 0;
  }
  const needed = action.positionals.filter((positional) => !positional.startsWith("["));
  const missing = needed[positionals.length];
  if (missing !== undefined) throw new WrongCall(`${missing} is missing`);
  const superfluous = positionals[action.positionals.length];
  if (superfluous !== undefined) throw new WrongCall(`${superfluous} is one argument too many`);
  try {
    const answer = await action.run(callOf(values, positionals, around));
    if (values.json === true) around.print(JSON.stringify(answer.json));
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

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

function parse(action: Action, args: readonly string[]): { values: Values; positionals: string[] } {
  const specs: [string, OptionSpec][] = Object.entries({ ...action.options, ...commonOptions });
  const options = Object.fromEntries(
    specs.map(([option, { type }]) => [option, { type, multiple: type === "string" }]),
  );
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new WrongCall((error as Error).message);
  }
}

function callOf(values: Values, positionals: readonly string[], around: Surroundings): Call {
  const texts = (option: string) => [values[option] ?? []].flat().filter((value) => typeof value === "string");
  return {
    clients: around.clients,
    positionals,
    texts,
    text: (option) => texts(option).at(-1),
    isOn: (option) => values[option] === true,
    readText: (path) => (path === "-" ? readAll(process.stdin) : readFile(path, "utf8")),
    output: outputOf(around),
    now: around.now ?? new Date(),
    recoverKeys: around.recoverKeys,
    patiently: (what, work, remark) => patiently([what, remark], work, around),
  };
}

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

/** The complete help of a group: every command, every option, one line each. */
export function groupHelp(name: GroupName): string[] {
  const group: Group = groups[name];
  const optionText = (key: string, spec: OptionSpec) =>
    `--${key}${spec.value && ` ${spec.value}`}${spec.multiple ? " …" : ""}`;
  const texts = Object.values(group.actions).flatMap(({ options }) =>
    Object.entries(options).map(([key, spec]) => optionText(key, spec)),
  );
  const width = Math.max(...texts.map(({ length }) => length), "--json".length);
  const option = (text: string, help: string) => `      ${text.padEnd(width)}  ${help}`;
  return [
    group.summary,
    "",
    ...Object.entries(group.actions).flatMap(([action, { positionals, options, help }]) => [
      `  ${[name, action, ...positionals, Object.keys(options).length > 0 ? "[OPTIONS]" : ""].filter(Boolean).join(" ")}`,
      `      ${help}`,
      ...Object.entries(options).map(([key, spec]) => option(optionText(key, spec), spec.help)),
      "",
    ]),
    "Every command:",
    ...Object.entries(commonOptions).map(([key, { help }]) => option(`--${key}`, help)),
    "",
    "The commands call the core's RPC at CORE_URL, or at RPC_HOST and RPC_PORT, with the credential in RPC_TOKEN,",
    "RPC_TOKEN_FILE or DATA_DIR/operator-token.",
  ];
}

const unreachable = (coreUrl: string) =>
  `Is the gateway running? CORE_URL, or RPC_HOST and RPC_PORT, say where its RPC listens; it was sought at ${coreUrl}.`;

/** What to do next, where the reason alone does not say it. */
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

/** The same for errors that carry no reason, by the code of Connect and gRPC. */
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
