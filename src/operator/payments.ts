import { create, toJson } from "@bufbuild/protobuf";
import { type Order, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { type ListOrdersRequest, ListOrdersResponseSchema } from "../../gen/dcm/v1/order_service_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import {
  type ListPaymentMessagesRequest,
  ListPaymentMessagesResponseSchema,
} from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { nameOf, orderStatuses, paymentMessageStatuses } from "../wire/enums.ts";
import { type Action, type Answer, type Call, type OptionSpec, WrongCall } from "./action.ts";
import { limitOption, rowsOf } from "./pages.ts";
import { moneyText, table, when } from "./table.ts";
import { guidIn, instantOf, namedOf, TIME_HELP } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;
const defaultLimit = 50;

/** By which party a list is asked for: at most one option, each with the name of its field. */
function partyOf<Party extends string>(call: Call, options: Readonly<Record<string, Party>>) {
  const given = Object.entries(options).flatMap(([option, field]) => {
    const text = call.text(option);
    return text === undefined ? [] : [{ case: field, value: guidIn(text, `--${option}`) }];
  });
  if (given.length > 1)
    throw new WrongCall(
      `give one of ${Object.keys(options)
        .map((name) => `--${name}`)
        .join(", ")}`,
    );
  return given[0];
}

function periodOf(call: Call) {
  const day = call.text("day") ?? "";
  const since = instantOf(call, "since");
  const until = instantOf(call, "until");
  if (day !== "" && (since ?? until) !== undefined) throw new WrongCall("--day goes with neither --since nor --until");
  return { day, ...(since && { since }), ...(until && { until }) };
}

const periodOptions = (made: string) =>
  ({
    day: { type: "string", value: "DAY", help: `Only what was ${made} on this Kyiv day, like 2026-01-31.` },
    since: { type: "string", value: "TIME", help: `Only what was ${made} since: ${TIME_HELP}.` },
    until: { type: "string", value: "TIME", help: `Only what was ${made} before.` },
  }) as const satisfies Record<string, OptionSpec>;

const statusOption = (statuses: object) =>
  ({
    type: "string",
    multiple: true,
    value: "STATUS",
    help: `One of ${Object.keys(statuses).join(", ")}.`,
  }) as const satisfies OptionSpec;

/** Canceled by whom, where its merchant did it. */
function orderStatusText(order: Order): string {
  const name = nameOf(orderStatuses, order.status) ?? "unknown";
  return order.status === OrderStatus.CANCELED && order.canceledByMerchant ? `${name} (merchant)` : name;
}

async function listOrders(call: Call): Promise<Answer> {
  const party = partyOf(call, { merchant: "merchantGuid", bank: "creditorAgentGuid" });
  const ref = call.text("ref") ?? "";
  if (ref !== "" && party?.case !== "merchantGuid") throw new WrongCall("--ref needs --merchant GUID");
  const filter = {
    party: party as ListOrdersRequest["party"],
    statuses: namedOf(call, "status", orderStatuses),
    ref,
    ...periodOf(call),
  };
  const { rows: orders, more } = await rowsOf(call, defaultLimit, async (page) => {
    const { orders: rows, nextPageToken } = await call.clients.orders.listOrders({ ...filter, ...page });
    return { rows, nextPageToken };
  });
  const rows = orders.map((order) => [
    order.id,
    orderStatusText(order),
    moneyText(order.amount),
    order.ref,
    order.merchantGuid,
    when(order.createdAt),
    when(order.expiresAt),
  ]);
  const heading = ["ID", "STATUS", "AMOUNT", "REF", "MERCHANT", "CREATED", "EXPIRES"];
  return {
    json: toJson(ListOrdersResponseSchema, create(ListOrdersResponseSchema, { orders }), json),
    lines: rows.length === 0 ? ["No order matches."] : [...table(heading, rows), ...more],
  };
}

async function listPayments(call: Call): Promise<Answer> {
  const party = partyOf(call, {
    merchant: "merchantGuid",
    debtor: "debtorAgentGuid",
    creditor: "creditorAgentGuid",
  });
  const filter = {
    party: party as ListPaymentMessagesRequest["party"],
    statuses: namedOf(call, "status", paymentMessageStatuses),
    externalId: call.text("external-id") ?? "",
    ...periodOf(call),
  };
  const { rows: paymentMessages, more } = await rowsOf<PaymentMessage>(call, defaultLimit, async (page) => {
    const answer = await call.clients.paymentMessages.listPaymentMessages({ ...filter, ...page });
    return { rows: answer.paymentMessages, nextPageToken: answer.nextPageToken };
  });
  const rows = paymentMessages.map((message) => [
    message.guid,
    nameOf(paymentMessageStatuses, message.status) ?? "unknown",
    moneyText(message.amount),
    message.externalId,
    message.debtorAgent?.bic ?? "",
    message.creditorAgent?.bic ?? "",
    message.creditor?.uid ?? "",
    message.orderId,
    when(message.receivedAt),
  ]);
  const heading = ["GUID", "STATUS", "AMOUNT", "EXTERNAL ID", "DEBTOR", "CREDITOR", "MERCHANT", "ORDER", "RECEIVED"];
  return {
    json: toJson(
      ListPaymentMessagesResponseSchema,
      create(ListPaymentMessagesResponseSchema, { paymentMessages }),
      json,
    ),
    lines: rows.length === 0 ? ["No payment message matches."] : [...table(heading, rows), ...more],
  };
}

export const orderActions = {
  list: {
    positionals: [],
    options: {
      merchant: { type: "string", value: "GUID", help: "Only orders of this merchant." },
      bank: { type: "string", value: "GUID", help: "Only orders of the merchants that this bank services." },
      status: statusOption(orderStatuses),
      ...periodOptions("created"),
      ref: {
        type: "string",
        value: "REF",
        help: "Only the order with this number of the merchant's; with --merchant.",
      },
      limit: limitOption(defaultLimit),
    },
    help: "List orders, newest first; at most one of --merchant and --bank.",
    run: listOrders,
  },
} as const satisfies Record<string, Action>;

export const paymentActions = {
  list: {
    positionals: [],
    options: {
      merchant: { type: "string", value: "GUID", help: "Only payments to this merchant." },
      debtor: { type: "string", value: "GUID", help: "Only payments that this bank has sent, the initiator." },
      creditor: { type: "string", value: "GUID", help: "Only payments to merchants of this bank, the recipient." },
      status: statusOption(paymentMessageStatuses),
      ...periodOptions("received"),
      "external-id": { type: "string", value: "ID", help: "Only those with this identifier of the bank's own." },
      limit: limitOption(defaultLimit),
    },
    help: "List payment messages, newest first; at most one of --merchant, --debtor and --creditor.",
    run: listPayments,
  },
} as const satisfies Record<string, Action>;
