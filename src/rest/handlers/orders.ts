import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import type { Handlers } from "../../../gen/rest/operations.ts";
import { requestIdHeader } from "../../wire/metadata.ts";
import { asBank, type RequestContext, rpcOptions } from "../context.ts";
import { asRefusal, RestRefusal } from "../errors.ts";
import { notFoundPage, paymentPage } from "../pages/paymentPage.ts";
import { orderForBank, orderLinks, orderStatus } from "../translate/order.ts";

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
    if (found === undefined) return { status: 404, type: "text/html", body: notFoundPage() };
    const links = orderLinks(query.id.toLowerCase(), context.deps.publicUrl);
    const banks = query.mobile === 1 ? await context.initiators() : [];
    const now = context.deps.clock();
    const body = await paymentPage({ found, now, banks, link: links.link_deeplinks, isMobile: query.mobile === 1 });
    return { status: 200, type: "text/html", body };
  },

  async getOrderStatus({ query }, context) {
    const found = await readOrder({ id: query.id }, context, rpcOptions);
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
    const { id, order_id } = query;
    const named = id === undefined ? order_id !== undefined && { order_id } : { id };
    if (!named) throw new RestRefusal("INVALID_REQUEST", { text: "id is missing", field: "id" });
    const found = await readOrder(named, context, asBank(context));
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

/** An order by the parameter that names it; a refusal calls the parameter as the caller does. */
async function readOrder(
  named: { id: string } | { order_id: string },
  { deps }: RequestContext,
  options: typeof rpcOptions,
): Promise<GetOrderResponse> {
  const [[name, id] = ["id", ""]] = Object.entries(named);
  try {
    return await deps.clients.orders.getOrder({ orderId: id.toLowerCase() }, options);
  } catch (error) {
    throw asRefusal(error, { order_id: name }) ?? error;
  }
}

async function findOrder(id: string, context: RequestContext): Promise<GetOrderResponse | undefined> {
  try {
    return await readOrder({ id }, context, rpcOptions);
  } catch (error) {
    if (error instanceof RestRefusal && error.code === "ORDER_NOT_FOUND") return undefined;
    throw error;
  }
}
