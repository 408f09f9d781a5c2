import { sql } from "kysely";
import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import { rowsOf } from "../db/query.ts";
import { type OrderStatus, orderStatuses } from "../domain/order.ts";
import type { CoreContext } from "./context.ts";
import { type ListedTable, newestFirst, type Page } from "./newestFirst.ts";
import { type OrderRow, orderColumns, toOrder } from "./orders.ts";

/** Members that are absent, and an empty list, do not restrict. */
export type OrderFilter = {
  party?: { merchantGuid: string } | { creditorAgentGuid: string } | undefined;
  statuses: readonly OrderStatus[];
  since?: Date | undefined;
  until?: Date | undefined;
  /** Unique for one merchant only, so it needs the merchant beside it. */
  ref?: string | undefined;
};

const orders: ListedTable<OrderStatus> = { name: "payment_order", madeAt: "created_at", statuses: orderStatuses };

function columnOf(party: NonNullable<OrderFilter["party"]>): readonly [column: string, guid: string] {
  return "merchantGuid" in party
    ? ["merchant_guid", party.merchantGuid]
    : ["creditor_agent_guid", party.creditorAgentGuid];
}

/** Lists orders, newest first. */
export async function listOrders(context: CoreContext, filter: OrderFilter, asked: Page): Promise<Order[]> {
  const { party, ref, ...others } = filter;
  const column = party && columnOf(party);
  const page = newestFirst(
    orders,
    {
      ...others,
      party: column,
      // Together with the merchant: an index on `ref` alone does not exist.
      ...(ref !== undefined && column && { exactly: [[...column, "uuid"] as const, ["ref", ref, "text"] as const] }),
    },
    asked,
  );
  const listed = sql<OrderRow>`
    with page as materialized (${page})
    select o.* from page
    cross join lateral (select ${sql.raw(orderColumns("payment_order"))} from payment_order where guid = page.guid offset 0) o
    order by o.guid desc`;
  return (await rowsOf(context.db.sql, listed)).map(toOrder);
}
