import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { quietTools } from "../checkSteps.ts";

const root = resolve(import.meta.dirname, "../..");
export const FLOWS = join(root, "openapi/dcm.arazzo.yaml");

/** What a shell expects of a program that Ctrl+C ended. */
const exitStopped = 130;

type Places = { rest: string; signer: string };

/**
 * Runs the workflows of the contract against a gateway; answers the exit code of the runner, which is 0 when every check has passed.
 * What it says goes to `hear`, or to our own output. `stopping` ends it before its end.
 */
export async function runRespect(
  { rest, signer }: Places,
  args: readonly string[],
  { hear, stopping }: { hear?: (text: string) => void; stopping?: AbortSignal },
): Promise<number> {
  if (stopping?.aborted) return exitStopped;
  const places = ["--server", `dcm=${rest},signer=${signer}`];
  const output = hear ? "pipe" : "inherit";
  const child = spawn(
    process.execPath,
    [join(root, "node_modules/@redocly/cli/bin/cli.js"), "respect", FLOWS, ...places, ...args],
    {
      cwd: root,
      env: { ...process.env, ...quietTools },
      stdio: ["ignore", output, output],
    },
  );
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text) => hear?.(text));
  const terminate = () => child.kill("SIGTERM");
  stopping?.addEventListener("abort", terminate);
  return new Promise<number>((done, fail) => {
    child.once("error", fail);
    child.once("close", (code) => done(stopping?.aborted ? exitStopped : (code ?? 1)));
  }).finally(() => stopping?.removeEventListener("abort", terminate));
}
