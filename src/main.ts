import { readFileSync } from "node:fs";
import tab from "@bomb.sh/tab/commander";
import { type CommandSpec, openCommandLine } from "./commandLine.ts";
import { variables } from "./config/variables.ts";
import { roles } from "./config.ts";
import { addOperatorCommands } from "./operator/groups.ts";
import { SANDBOX_COMMAND, sandboxOptionsOf } from "./sandbox/options.ts";

// The imports above know the tables of commands but not the gateway, so help, completion and wrong usage are answered at once. Each
// command loads what it needs.

const environment = [
  "Environment:",
  ...variables.map(
    ({ name, fallback, help }) => `  ${name.padEnd(28)} ${help}${fallback === "" ? "" : ` Default: ${fallback}.`}`,
  ),
].join("\n");

const startCommand: CommandSpec = {
  positionals: [],
  options: {
    role: { value: "ROLE", multiple: true, choices: roles, help: "Only these roles. Default: all of them." },
  },
  help: "Run the gateway: all roles, or only those that are named. Ends cleanly on SIGTERM and SIGINT.",
  more: environment,
};

const migrateCommand: CommandSpec = {
  positionals: [],
  options: {},
  help: "Bring the schema of DATABASE_URL up to date and end. `start` does the same by itself.",
};

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

const line = openCommandLine("dcm", { print: console.log, complain: console.error });
const { program } = line;
program
  .description("DCM gateway: signed orders, payment messages, callbacks and gross settlement registers.")
  .version(version, "--version", "Print the version.")
  .addHelpText("after", `\n${environment}\n\ndcm is \`npm run dcm --\`. The README tells how the parts work together.`);
line.add(program, "start", startCommand, async (given) => (await import("./commands/gateway.ts")).start(given));
line.add(program, "sandbox", SANDBOX_COMMAND, async (given) => {
  const options = sandboxOptionsOf(given);
  return (await import("./commands/gateway.ts")).sandbox(options);
});
addOperatorCommands(line, async (action, given) => (await import("./commands/operator.ts")).operate(action, given));
line.add(program, "migrate", migrateCommand, async () => (await import("./commands/migrate.ts")).migrateOnly());
tab(program);

const code = await line.run(process.argv.slice(2));
// With a slow reader the pipe still holds output that an exit would drop; an error means that the reader has left.
process.stdout.on("error", () => undefined);
await new Promise((resolve) => process.stdout.write("", resolve));
// Open handles of libraries must not keep a finished program alive.
process.exit(code);
