import type { CommandLine, Given } from "../commandLine.ts";
import type { Action, Group } from "./action.ts";
import { callbacks, redrive } from "./commands/callbacks.ts";
import { participants } from "./commands/participants.ts";
import { orders, payments } from "./commands/payments.ts";
import { audit, keys, services } from "./commands/platform.ts";
import { reconcile, registers } from "./commands/registers.ts";

/** Every command of the operators. The tables load nothing; the code of a command is imported when it is called. */
export const groups: Readonly<Record<string, Group | Action>> = {
  participants,
  orders,
  payments,
  callbacks,
  registers,
  services,
  keys,
  audit,
  reconcile,
  redrive,
};

const commonOptions = { json: { help: "Print the answer as JSON." } } as const;

const more =
  "It calls the core's RPC at CORE_URL, or at RPC_HOST and RPC_PORT, with the credential in RPC_TOKEN, RPC_TOKEN_FILE or\n" +
  "DATA_DIR/operator-token.";

/** `perform` runs an action and answers its exit code. */
export function addOperatorCommands(
  line: CommandLine,
  perform: (action: Action, given: Given) => Promise<number>,
): void {
  const add = (parent: CommandLine["program"], name: string, action: Action) => {
    const options = { ...action.options, ...commonOptions };
    line.add(parent, name, { more, ...action, options }, (given) => perform(action, given));
  };
  for (const [name, entry] of Object.entries(groups)) {
    if ("run" in entry) add(line.program, name, entry);
    else {
      const group = line.addGroup(name, entry.summary);
      for (const [action, spec] of Object.entries(entry.actions)) add(group, action, spec);
    }
  }
}
