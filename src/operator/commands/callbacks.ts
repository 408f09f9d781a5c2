import type { OptionSpec } from "../../commandLine.ts";
import { CALLBACK_KINDS, CALLBACK_STATES } from "../../domain/callback.ts";
import type { Action, Group } from "../action.ts";
import { limitOption, TIME_HELP } from "./options.ts";

const handlers = () => import("../callbacks.ts");

const filterOptions = {
  state: { value: "STATE", multiple: true, choices: CALLBACK_STATES, help: "Only in these states." },
  kind: { value: "KIND", multiple: true, choices: CALLBACK_KINDS, help: "Only of these kinds." },
  receiver: { value: "GUID", help: "Only callbacks to this participant." },
  payment: { value: "GUID", help: "Only callbacks about this payment message." },
  since: { value: "TIME", help: `Only callbacks made since: ${TIME_HELP}.` },
  until: { value: "TIME", help: "Only callbacks made before." },
  missed: { help: "Only what failed at least once and is not delivered." },
} as const satisfies Record<string, OptionSpec>;

export const callbacks: Group = {
  summary: "Callbacks: look at them, deliver them again, close reviews.",
  actions: {
    list: {
      positionals: [],
      options: { ...filterOptions, limit: limitOption(50) },
      help: "List callbacks, newest first.",
      run: async (call) => (await handlers()).list(call),
    },
    show: {
      positionals: ["GUID"],
      options: {},
      help: "Show a callback with every attempt and answer.",
      run: async (call) => (await handlers()).show(call),
    },
    replay: {
      positionals: ["GUID"],
      options: {},
      help: "Deliver a callback again under the same guid. The result of a finished payment stays as it is.",
      run: async (call) => (await handlers()).replay(call),
    },
    "replay-all": {
      positionals: [],
      options: {
        ...filterOptions,
        state: { ...filterOptions.state, help: "review or dead. Default: both." },
        all: { help: "Everything in review and dead; instead of a filter." },
      },
      help: "Deliver every callback again that is in review or dead and matches.",
      run: async (call) => (await handlers()).replayAll(call),
    },
    resolve: {
      positionals: ["GUID"],
      options: { note: { value: "TEXT", isRequired: true, help: "What was found and agreed. Required." } },
      help: "Close the review of a callback.",
      run: async (call) => (await handlers()).resolve(call),
    },
  },
};

export const redrive: Action = {
  positionals: [],
  options: { limit: { value: "N", most: 10_000, fallback: "1000", help: "At most about so many of each." } },
  help:
    "After a fault of the platform was repaired: let dead callbacks go on and move the tickets of the dead-letter queue " +
    "back. Safe at any time.",
  run: async (call) => (await handlers()).redriveAll(call),
};
