import { type Order, type OrderStatus, orderStatuses } from "../domain/order.ts";
import type { CoreContext } from "./context.ts";
import { type ListedTable, newestFirst, type Page } from "./newestFirst.ts";
import { type OrderRow, orderColumns, toOrder } from "./orders.ts";

/** Members that are absent, and an empty list, do not restrict. */
export type OrderFilter = {
  party?: { merchantGuid: string } | { creditorAgentGuid: string } | undefined;
  statuses: readonly OrderStatus[];
  since?: Date | undefined;
  until?: Date | undefined;
  /** Of the merchant's own; with a merchant only. */
  ref?: string | undefined;
};

const orders: ListedTable<OrderStatus> = { name: "payment_order", madeAt: "created_at", statuses: orderStatuses };

/** Lists orders, newest first. */
export async function listOrders(context: CoreContext, filter: OrderFilter, page: Page): Promise<Order[]> {
  const { party, ref, ...others } = filter;
  const { text, values } = newestFirst(
    orders,
    {
      ...others,
      ...(party && {
        party:
          "merchantGuid" in party
            ? (["merchant_guid", party.merchantGuid] as const)
            : (["creditor_agent_guid", party.creditorAgentGuid] as const),
      }),
      ...(ref !== undefined && { exactly: { ref } }),
    },
    page,
  );
  const statement = {
    // Planned for what is asked: a prepared plan for any status knows of no partial index.
    name: "",
    text: `
      with page as materialized (${text})
      select o.* from page
      cross join lateral (select ${orderColumns} from payment_order where guid = page.guid offset 0) o
      order by o.guid desc`,
  };
  return (await context.db.sql<OrderRow>(statement, values)).map(toOrder);
}
