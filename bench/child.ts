import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";

// Load generators, participants, ceilings and peers run in processes of their own, so that none of them spends the time
// of another one's event loop. Parent and child talk by commands with an answer each.

type Question = { id: number; command: string; argument: unknown };
type Reply = { id: number; result?: unknown; problem?: string };

export type Child = {
  pid: number;
  call<Answer>(command: string, argument?: unknown): Promise<Answer>;
  stop(): Promise<void>;
};

/** Starts a program of this folder that serves commands. */
export function startChild(program: string, settings: Record<string, string> = {}): Child {
  const child = fork(join(import.meta.dirname, program), [], {
    env: { ...process.env, NODE_ENV: "production", ...settings },
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const asked = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  let lastId = 0;
  child.on("message", (reply: Reply) => {
    const waiting = asked.get(reply.id);
    asked.delete(reply.id);
    if (reply.problem === undefined) waiting?.resolve(reply.result as never);
    else waiting?.reject(new Error(`${program}: ${reply.problem}`));
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void ended.then(() => {
    for (const waiting of asked.values()) waiting.reject(new Error(`${program} ended`));
  });
  return {
    pid: child.pid ?? 0,
    call: <Answer>(command: string, argument?: unknown) =>
      new Promise<Answer>((resolve, reject) => {
        const id = ++lastId;
        asked.set(id, { resolve, reject });
        child.send({ id, command, argument } satisfies Question);
      }),
    stop: () => endProcess(child, ended),
  };
}

async function endProcess(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode === null) child.kill("SIGTERM");
  const forced = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await ended;
  clearTimeout(forced);
}

// Whatever a command takes and answers crosses a process boundary; caller and child agree on it by the command's name.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Command = (argument: any) => unknown;

/** The child's side: answers commands until the parent is gone. */
export function serveCommands(commands: Record<string, Command>): void {
  process.on("message", async ({ id, command, argument }: Question) => {
    let reply: Reply;
    try {
      reply = { id, result: await commands[command]?.(argument) };
    } catch (error) {
      reply = { id, problem: (error as Error).stack ?? String(error) };
    }
    process.send?.(reply);
  });
  process.on("disconnect", () => process.exit(0));
}
