import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { type ListOrdersRequest, OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type ListPaymentMessagesRequest, PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { openConsole } from "./console.ts";

const guid = "3aa202bc-6b20-445d-8969-8274b11c66d0";
const at = timestampFromDate(new Date("2026-01-31T08:00:00Z"));
const amount = { amountMinor: 2100n, currency: "UAH" };

/** A core with so many orders and messages, which gives them page by page and keeps what it was asked. */
function coreWith(count: number) {
  const asked: { orders: ListOrdersRequest[]; messages: ListPaymentMessagesRequest[] } = { orders: [], messages: [] };
  const pageOf = <Row>(request: { pageSize: number; pageToken: string }, row: (n: number) => Row) => {
    const from = Number(request.pageToken);
    const to = Math.min(count, from + Math.min(request.pageSize, 2));
    const rows = Array.from({ length: to - from }, (_, n) => row(from + n));
    return { rows, nextPageToken: to < count ? String(to) : "" };
  };
  const transport = createRouterTransport(({ service }) => {
    service(OrderService, {
      listOrders(request) {
        asked.orders.push(request);
        const { rows: orders, nextPageToken } = pageOf(request, (n) => ({
          id: guid,
          ref: `ref-${n}`,
          amount,
          merchantGuid: guid,
          status: n === 0 ? OrderStatus.CREATED : OrderStatus.CANCELED,
          canceledByMerchant: n === 1,
          createdAt: at,
          expiresAt: at,
        }));
        return { orders, nextPageToken };
      },
    });
    service(PaymentMessageService, {
      listPaymentMessages(request) {
        asked.messages.push(request);
        const { rows: paymentMessages, nextPageToken } = pageOf(request, (n) => ({
          guid,
          externalId: `E-${n}`,
          amount,
          orderId: guid,
          debtorAgent: { bic: "306500" },
          creditorAgent: { bic: "380816" },
          creditor: { uid: "shop\u001b[31m" },
          status: PaymentMessageStatus.PENDING,
          receivedAt: at,
        }));
        return { paymentMessages, nextPageToken };
      },
    });
  });
  return { asked, console: openConsole(createClients(transport)) };
}

describe("orders list", () => {
  test("orders are printed one a line, with who canceled them; every page is read", async () => {
    const { console } = coreWith(3);
    const { code, lines } = await console.run("orders", "list");
    expect(code).toBe(0);
    expect(lines[0]?.split(/ {2,}/)).toEqual(["ID", "STATUS", "AMOUNT", "REF", "MERCHANT", "CREATED", "EXPIRES"]);
    expect(lines.slice(1).map((line) => line.split(/ {2,}/).slice(1, 4))).toEqual([
      ["created", "21.00 UAH", "ref-0"],
      ["canceled (merchant)", "21.00 UAH", "ref-1"],
      ["canceled", "21.00 UAH", "ref-2"],
    ]);
    expect(((await console.json("orders", "list")).orders as unknown[]).length).toBe(3);
  });

  test("what is asked for goes to the core", async () => {
    const { asked, console } = coreWith(1);
    await console.run(
      "orders",
      "list",
      "--merchant",
      guid.toUpperCase(),
      "--status",
      "created,canceled",
      "--day",
      "2026-01-31",
      "--ref",
      "7",
    );
    await console.run("orders", "list", "--bank", guid, "--since", "2026-01-30", "--until", "2026-01-31T08:00:00Z");
    expect(asked.orders).toMatchObject([
      {
        party: { case: "merchantGuid", value: guid },
        statuses: [OrderStatus.CREATED, OrderStatus.CANCELED],
        day: "2026-01-31",
        ref: "7",
        pageSize: 50,
      },
      { party: { case: "creditorAgentGuid", value: guid }, statuses: [], day: "", ref: "" },
    ]);
    const [, { since, until } = {}] = asked.orders;
    expect([since, until].map((instant) => instant && timestampDate(instant).toISOString())).toEqual([
      "2026-01-30T00:00:00.000Z",
      "2026-01-31T08:00:00.000Z",
    ]);
  });

  test("--limit ends the list, and says that there is more", async () => {
    const { lines } = await coreWith(9).console.run("orders", "list", "--limit", "3");
    expect([lines.length, lines.at(-1)]).toEqual([5, "There are more than 3; --limit shows more."]);
    expect((await coreWith(0).console.run("orders", "list")).lines).toEqual(["No order matches."]);
  });
});

describe("payments list", () => {
  test("messages are printed one a line, and nothing in them moves the cursor", async () => {
    const { code, lines } = await coreWith(3).console.run("payments", "list");
    expect([code, lines.length]).toEqual([0, 4]);
    expect(lines[1]?.split(/ {2,}/)).toEqual([
      guid,
      "pending",
      "21.00 UAH",
      "E-0",
      "306500",
      "380816",
      "shop\\u{1b}[31m",
      guid,
      "2026-01-31T08:00:00.000Z",
    ]);
  });

  test.each([
    ["--merchant", "merchantGuid"],
    ["--debtor", "debtorAgentGuid"],
    ["--creditor", "creditorAgentGuid"],
  ])("%s goes to the core", async (option, field) => {
    const { asked, console } = coreWith(1);
    await console.run(
      "payments",
      "list",
      option,
      guid,
      "--external-id",
      "E-7",
      "--status",
      "reject",
      "--day",
      "2026-01-31",
    );
    expect(asked.messages).toMatchObject([
      {
        party: { case: field, value: guid },
        externalId: "E-7",
        statuses: [PaymentMessageStatus.REJECT],
        day: "2026-01-31",
      },
    ]);
  });
});
