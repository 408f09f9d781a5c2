import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, vi } from "vitest";
import { stopWithUs } from "../../src/db/embedded-process.ts";

export type GatewayProcess = {
  /** Everything it wrote so far, both streams together. */
  output(): string;
  /** Resolves with the exit code when it has ended; null when a signal ended it. */
  ended: Promise<number | null>;
  /** Sends the signal and waits for the end. */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Waits until the output matches. */
  says(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * The program as its users start it: a process of its own. Of this process's environment it has only where programs and the home
 * are, and what was compiled before, without which a start takes a second more.
 */
export function runGatewayProcess(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): GatewayProcess {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
  const child: ChildProcess = spawn(process.execPath, ["src/main.ts", ...args], {
    env: { PATH, HOME, NODE_COMPILE_CACHE, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ended = once(child, "close").then(([code]) => code as number | null);
  // A test run that is killed must leave no gateway behind.
  const dismissWatcher = child.pid ? stopWithUs(child.pid, "KILL") : () => {};
  void ended.then(dismissWatcher);
  const kill = async (signal: "SIGKILL" | "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  return {
    output: () => output,
    ended,
    kill,
    says: (pattern, timeoutMs = 30_000) =>
      vi.waitFor(
        () => {
          const found = output.match(pattern);
          expect(found, `${pattern} in:\n${output.slice(-2_000)}`).not.toBeNull();
          return found as RegExpMatchArray;
        },
        { timeout: timeoutMs, interval: 50 },
      ),
    [Symbol.asyncDispose]: () => kill("SIGKILL"),
  };
}
