import { WrongCall } from "../commandLine.ts";
import { type Config, type Role, readConfig } from "../config.ts";

/** The configuration for the given roles, whose settings alone are required; throws `WrongCall` with all problems. */
export function configOf(started: readonly Role[], fallbacks: Record<string, string> = {}): Config {
  const read = readConfig(started, fallbacks);
  if (read.ok) return read.config;
  throw new WrongCall(
    [
      "The configuration cannot be used:",
      ...read.problems.map((problem) => `  ${problem}`),
      "Set the environment variables right and start again; `npm run dcm -- --help` lists them.",
    ].join("\n"),
  );
}
