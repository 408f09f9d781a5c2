import { create, toJson } from "@bufbuild/protobuf";
import { type Order, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { type ListOrdersRequest, ListOrdersResponseSchema } from "../../gen/dcm/v1/order_service_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import {
  type ListPaymentMessagesRequest,
  ListPaymentMessagesResponseSchema,
} from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { WrongCall } from "../commandLine.ts";
import { nameOf, orderStatuses, paymentMessageStatuses } from "../wire/enums.ts";
import type { Answer, Call } from "./action.ts";
import { rowsOf } from "./pages.ts";
import { moneyText, table, when } from "./table.ts";
import { guidIn, instantOf, namedOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

/** The party by which a list is filtered: at most one option; the record gives the field of each. */
function partyOf<Party extends string>(call: Call, options: Readonly<Record<string, Party>>) {
  const given = Object.entries(options).flatMap(([option, field]) => {
    const text = call.text(option);
    return text === undefined ? [] : [{ case: field, value: guidIn(text, `--${option}`) }];
  });
  return given[0];
}

function periodOf(call: Call) {
  const day = call.text("day") ?? "";
  const since = instantOf(call, "since");
  const until = instantOf(call, "until");
  return { day, ...(since && { since }), ...(until && { until }) };
}

/** The status, with who canceled the order if that was its merchant. */
function orderStatusText(order: Order): string {
  const name = nameOf(orderStatuses, order.status) ?? "unknown";
  return order.status === OrderStatus.CANCELED && order.canceledByMerchant ? `${name} (merchant)` : name;
}

export async function listOrders(call: Call): Promise<Answer> {
  const party = partyOf(call, { merchant: "merchantGuid", bank: "creditorAgentGuid" });
  const ref = call.text("ref") ?? "";
  if (ref !== "" && party?.case !== "merchantGuid") throw new WrongCall("--ref needs --merchant GUID");
  const filter = {
    party: party as ListOrdersRequest["party"],
    statuses: namedOf(call, "status", orderStatuses),
    ref,
    ...periodOf(call),
  };
  const { rows: orders, more } = await rowsOf(call, async (page) => {
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

export async function listPayments(call: Call): Promise<Answer> {
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
  const { rows: paymentMessages, more } = await rowsOf<PaymentMessage>(call, async (page) => {
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
