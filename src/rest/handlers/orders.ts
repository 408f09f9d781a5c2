import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import type { Handlers } from "../../../gen/rest/operations.ts";
import { requestIdHeader } from "../../wire/metadata.ts";
import { orderForBank } from "../../wire/order.ts";
import { asBank, type RequestContext, rpcOptions } from "../context.ts";
import { coreReason, RestRefusal } from "../errors.ts";
import { pageHeaders } from "../pages/html.ts";
import { notFoundPage, paymentPage } from "../pages/paymentPage.ts";
import { orderLinks, orderStatus } from "../translate/order.ts";

type OrderHandlers = Pick<
  Handlers<RequestContext>,
  "createOrder" | "showPaymentPage" | "getOrderStatus" | "listEmitters" | "getOrderForBank"
>;

export const orderHandlers: OrderHandlers = {
  async createOrder({ query, body }, { deps, requestId }) {
    const jws = onlyToken(body?.jwt, query.jwt);
    const wanted = { jws, signedDetails: query.custom ?? false };
    const { order, signedDetails } = await deps.clients.orders.createOrder(wanted, {
      ...rpcOptions,
      headers: { [requestIdHeader]: requestId },
    });
    if (!order) throw new Error("the core answered no order");
    const created = { id: order.id, ...orderLinks(order.id, deps.publicUrl) };
    const jwt = signedDetails === "" ? {} : { jwt: signedDetails };
    return { status: 201, type: "application/json", body: { ...created, ...jwt } };
  },

  async showPaymentPage({ query }, context) {
    const found = await findOrder(query.id, context);
    if (!found) return { status: 404, type: "text/html", headers: pageHeaders, body: notFoundPage() };
    const links = orderLinks(query.id.toLowerCase(), context.deps.publicUrl);
    const banks = query.mobile === 1 ? await context.initiators() : [];
    const now = context.deps.clock();
    const body = await paymentPage({ found, now, banks, link: links.link_deeplinks, isMobile: query.mobile === 1 });
    return { status: 200, type: "text/html", headers: pageHeaders, body };
  },

  async getOrderStatus({ query }, { deps }) {
    const found = await deps.clients.orders.getOrder({ orderId: query.id.toLowerCase() }, rpcOptions);
    return { status: 200, type: "application/json", body: orderStatus(found) };
  },

  async listEmitters(_input, { initiators }) {
    const banks = await initiators();
    const body = banks.map((bank) => ({
      name: bank.name,
      bic: bank.bic,
      ...(bank.logoUrl === "" ? {} : { logo_url: bank.logoUrl }),
      deeplink_prefix: bank.deepLinkPrefix,
    }));
    return { status: 200, type: "application/json", body };
  },

  async getOrderForBank({ query }, context) {
    const id = query.id ?? query.order_id;
    if (id === undefined) throw new RestRefusal("INVALID_REQUEST", { text: "id is missing", field: "id" });
    const found = await context.deps.clients.orders.getOrder({ orderId: id.toLowerCase() }, asBank(context));
    return { status: 200, type: "application/json", body: orderForBank(found) };
  },
};

/** The order's token, wherever it stands. Of two it would not be clear which one the merchant means. */
function onlyToken(inBody: string | undefined, inQuery: string | undefined): string {
  const token = inBody ?? inQuery;
  if (token === undefined) throw new RestRefusal("INVALID_REQUEST", { text: "jwt is missing", field: "jwt" });
  if (inQuery !== undefined && inQuery !== token) {
    throw new RestRefusal("INVALID_REQUEST", {
      text: "jwt is given twice, in the query and in the body",
      field: "jwt",
    });
  }
  return token;
}

async function findOrder(id: string, { deps }: RequestContext): Promise<GetOrderResponse | undefined> {
  try {
    return await deps.clients.orders.getOrder({ orderId: id.toLowerCase() }, rpcOptions);
  } catch (error) {
    if (coreReason(error) === "ORDER_NOT_FOUND") return undefined;
    throw error;
  }
}
