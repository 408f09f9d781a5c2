import type { Writable } from "node:stream";
import type { CommandSpec, Given } from "../commandLine.ts";
import type { CoreClients } from "../wire/coreClients.ts";

/**
 * What a command answers: the same content for programs and for people. Lines that are too many to be held are made as
 * they are printed.
 */
export type Answer = {
  json: unknown;
  lines: readonly string[] | AsyncIterable<string>;
  /** It was done, and what it found is not as it should be: the exit code says so to scripts. */
  isAlarming?: boolean;
};

export type Call = Given & {
  clients: CoreClients;
  /** The content of a file, or of standard input for "-". */
  readText(path: string): Promise<string>;
  /** Standard output, for what is neither lines nor JSON. */
  output: Writable;
  /** Waits for work that may take minutes, and says on standard error once in a while that it still runs. */
  patiently<T>(what: string, work: Promise<T>, remark?: string): Promise<T>;
  now: Date;
  /** New signing keys for a master key that is lost: the one thing that is done without the core. */
  recoverKeys?: (() => Promise<RecoveredKeys>) | undefined;
};

type RecoveredKeyName = { kid: string; alg: string; masterKeyId: string };
export type RecoveredKeys = { made: RecoveredKeyName[]; lost: RecoveredKeyName[] };

/** One command of the operators. */
export type Action = CommandSpec & { run(call: Call): Promise<Answer> };

export type Group = { summary: string; actions: Readonly<Record<string, Action>> };

/** It could not be done here, whatever the core says; the message tells what to do. */
export class NotDone extends Error {}
