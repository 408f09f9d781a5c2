import type { Writable } from "node:stream";
import type { CoreClients } from "../rpc/clients.ts";

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

export type OptionSpec = {
  type: "string" | "boolean";
  /** May be given several times. */
  multiple?: true;
  /** What stands for the value in the help text; empty for a switch. */
  value: string;
  help: string;
};

export type Call = {
  clients: CoreClients;
  /** Exactly as many as the action names. */
  positionals: readonly string[];
  /** The texts of an option; empty when it was not given. */
  texts(option: string): readonly string[];
  /** The text of an option, the last one if it was given several times. */
  text(option: string): string | undefined;
  isOn(option: string): boolean;
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

/** One command of the operators. `positionals` are names for the help text and for the message about a missing one. */
export type Action = {
  positionals: readonly string[];
  options: Readonly<Record<string, OptionSpec>>;
  help: string;
  run(call: Call): Promise<Answer>;
};

/** Actions by name; a command that has only one calls it "". */
export type Group = { summary: string; actions: Readonly<Record<string, Action>> };

/** The command was called wrongly: nothing was asked of the core. */
export class WrongCall extends Error {}

/** It could not be done here, whatever the core says; the message tells what to do. */
export class NotDone extends Error {}
