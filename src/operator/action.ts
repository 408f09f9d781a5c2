import type { Writable } from "node:stream";
import type { CommandSpec, Given } from "../commandLine.ts";
import type { CoreClients } from "../wire/coreClients.ts";

/**
 * The result of a command, for programs (JSON) and for people (lines). Lines that are too many for memory are generated while they
 * are printed.
 */
export type Answer = {
  json: unknown;
  lines: readonly string[] | AsyncIterable<string>;
  /** The command was carried out and found something wrong; scripts see it by the exit code. */
  isAlarming?: boolean;
};

export type Call = Given & {
  clients: CoreClients;
  /** The content of a file, or of standard input for "-". */
  readText(path: string): Promise<string>;
  /** Standard output, for what is neither lines nor JSON. */
  output: Writable;
  /** Waits for work that may take minutes, and reports on standard error from time to time that it is still running. */
  patiently<T>(what: string, work: Promise<T>, remark?: string): Promise<T>;
  now: Date;
  /** Makes new signing keys after the loss of the master key: the only command that works without the core. */
  recoverKeys?: (() => Promise<RecoveredKeys>) | undefined;
};

type RecoveredKeyName = { kid: string; alg: string; masterKeyId: string };
export type RecoveredKeys = { made: RecoveredKeyName[]; lost: RecoveredKeyName[] };

/** A command of the operators. */
export type Action = CommandSpec & { run(call: Call): Promise<Answer> };

export type Group = { summary: string; actions: Readonly<Record<string, Action>> };

/** The command failed on this side and not in the core; the message says what to do. */
export class NotDone extends Error {}
