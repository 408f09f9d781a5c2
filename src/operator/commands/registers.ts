import { registerStatuses } from "../../domain/settlement.ts";
import type { Action, Group } from "../action.ts";
import { limitOption, TIME_HELP } from "./options.ts";

const handlers = () => import("../registers.ts");

export const registers: Group = {
  summary: "Gross settlement registers: close days, look at registers, write them to files, reopen them.",
  actions: {
    close: {
      positionals: ["DAY"],
      options: { "allow-open-day": { help: "Also a day that is not over; what comes later gets further registers." } },
      help: "Collect the successful payments of a Kyiv day into registers; may take minutes. Safe to repeat.",
      run: async (call) => (await handlers()).close(call),
    },
    list: {
      positionals: ["BANK_GUID"],
      options: {
        role: {
          value: "ROLE",
          choices: ["debtor", "all"],
          fallback: "all",
          help: "debtor: what the bank has to pay; all: either side.",
        },
        since: { value: "TIME", help: `Made since: ${TIME_HELP}. Default: the last seven days.` },
        until: { value: "TIME", help: "Made before." },
        status: { value: "STATUS", multiple: true, choices: registerStatuses, help: "Only with these statuses." },
        "updated-since": { value: "TIME", help: "Changed since; then --since has no default." },
        limit: limitOption(50),
      },
      help: "List the registers of a bank, newest first.",
      run: async (call) => (await handlers()).list(call),
    },
    show: {
      positionals: ["REGISTER_ID"],
      options: {
        payments: {
          without: ["json"],
          help: "Also its payments, as they are read; not with --json: a register may have millions, see `registers export`.",
        },
      },
      help: "Show a register and everything that happened to it; --json also has what the banks signed.",
      run: async (call) => (await handlers()).show(call),
    },
    export: {
      positionals: ["REGISTER_ID"],
      options: {
        dir: { value: "DIR", help: "The folder to write to. Default: the current one." },
        stdout: { without: ["dir", "json"], help: "Write to standard output instead of a file." },
      },
      help:
        "Write a register as CSV: a line of column names and the register, a line of column names and its payments. The file " +
        "is O_ID_DAY.csv where both banks are one institution, else I_ID_DAY.csv; one that exists is not overwritten.",
      run: async (call) => (await handlers()).exportRegister(call),
    },
    reopen: {
      positionals: ["REGISTER_ID"],
      options: { note: { value: "TEXT", isRequired: true, help: "Why. Required." } },
      help: "The money of a paid register came back: let it be paid or confirmed again.",
      run: async (call) => (await handlers()).reopen(call),
    },
  },
};

export const reconcile: Action = {
  positionals: [],
  options: { days: { value: "N", most: 3_660, fallback: "7", help: "Registers of so many days before today." } },
  help:
    "Say what does not add up, and end with 1 if anything does not: payments in no register, registers whose totals, " +
    "payments and acts differ.",
  run: async (call) => (await import("../reconcile.ts")).reconcile(call),
};
