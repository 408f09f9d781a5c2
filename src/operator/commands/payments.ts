import type { OptionSpec } from "../../commandLine.ts";
import { orderStatuses } from "../../domain/order.ts";
import { paymentMessageStatuses } from "../../domain/paymentMessage.ts";
import type { Group } from "../action.ts";
import { limitOption, TIME_HELP } from "./options.ts";

const handlers = () => import("../payments.ts");

const periodOptions = (made: string) =>
  ({
    day: {
      value: "DAY",
      without: ["since", "until"],
      help: `Only what was ${made} on this Kyiv day, like 2026-01-31; with neither --since nor --until.`,
    },
    since: { value: "TIME", help: `Only what was ${made} since: ${TIME_HELP}.` },
    until: { value: "TIME", help: `Only what was ${made} before.` },
  }) as const satisfies Record<string, OptionSpec>;

const statusOption = (choices: readonly string[]): OptionSpec => ({
  value: "STATUS",
  multiple: true,
  choices,
  help: "Only with these statuses.",
});

export const orders: Group = {
  summary: "Orders of merchants: look at them.",
  actions: {
    list: {
      positionals: [],
      options: {
        merchant: { value: "GUID", without: ["bank"], help: "Only orders of this merchant." },
        bank: { value: "GUID", help: "Only orders of the merchants that this bank services." },
        status: statusOption(orderStatuses),
        ...periodOptions("created"),
        ref: { value: "REF", help: "Only the order with this number of the merchant's; with --merchant." },
        limit: limitOption(50),
      },
      help: "List orders, newest first; at most one of --merchant and --bank.",
      run: async (call) => (await handlers()).listOrders(call),
    },
  },
};

export const payments: Group = {
  summary: "Payment messages of banks: look at them.",
  actions: {
    list: {
      positionals: [],
      options: {
        merchant: { value: "GUID", without: ["debtor", "creditor"], help: "Only payments to this merchant." },
        debtor: {
          value: "GUID",
          without: ["creditor"],
          help: "Only payments that this bank has sent, the initiator.",
        },
        creditor: { value: "GUID", help: "Only payments to merchants of this bank, the recipient." },
        status: statusOption(paymentMessageStatuses),
        ...periodOptions("received"),
        "external-id": { value: "ID", help: "Only those with this identifier of the bank's own." },
        limit: limitOption(50),
      },
      help: "List payment messages, newest first; at most one of --merchant, --debtor and --creditor.",
      run: async (call) => (await handlers()).listPayments(call),
    },
  },
};
