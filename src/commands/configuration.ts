import { WrongCall } from "../commandLine.ts";
import { type Config, type Role, readConfig } from "../config.ts";

/** The configuration of the roles that are started; a command that starts none needs nothing of what they need. */
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
