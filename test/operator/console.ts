import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { openCommandLine } from "../../src/commandLine.ts";
import { addOperatorCommands } from "../../src/operator/groups.ts";
import { runAction, type Surroundings } from "../../src/operator/operator.ts";
import type { CoreClients } from "../../src/wire/coreClients.ts";

/** An argument; an object stands for a file that holds it as JSON. */
type Argument = string | object;

/** An operator's terminal. */
export function openConsole(clients: CoreClients, around: Partial<Surroundings> = {}) {
  async function run(name: string, ...given: Argument[]) {
    const folder = await mkdtemp(join(tmpdir(), "dcm-operator-"));
    try {
      const args = await Promise.all(given.map((argument) => asText(folder, argument)));
      const lines: string[] = [];
      const complaints: string[] = [];
      let written = "";
      const output = new Writable({
        write(chunk, _, done) {
          written += chunk;
          done();
        },
      });
      const terminal = {
        print: (line: string) => void lines.push(line),
        complain: (line: string) => void complaints.push(line),
      };
      const line = openCommandLine("dcm", terminal);
      addOperatorCommands(line, (action, called) =>
        runAction(action, called, { clients, coreUrl: "http://core.example", ...terminal, output, ...around }),
      );
      const code = await line.run([name, ...args]);
      return { code, lines, complaints, written };
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  return {
    run,
    /** What the command prints with --json; a command that fails fails the test. */
    async json(name: string, ...args: Argument[]): Promise<Record<string, unknown>> {
      const { code, lines, complaints } = await run(name, ...args, "--json");
      if (code !== 0 || lines.length !== 1) throw new Error(`${name} answered ${code}: ${complaints.join(" ")}`);
      return JSON.parse(lines[0] ?? "");
    },
  };
}

async function asText(folder: string, argument: Argument): Promise<string> {
  if (typeof argument === "string") return argument;
  const path = join(folder, `${randomUUID()}.json`);
  await writeFile(path, JSON.stringify(argument));
  return path;
}
