import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../../gen/dcm/v1/participant_pb.ts";
import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { requestIdHeader } from "../../wire/metadata.ts";
import { orderForBank, orderLinks, orderStatus } from "../../wire/order.ts";
import { asParty, type RequestContext } from "../context.ts";
import { asRefusal, RestRefusal } from "../errors.ts";
import { pageHeaders } from "../pages/html.ts";
import { notFoundPage, paymentPage, takesSigned } from "../pages/paymentPage.ts";
import { rpcOptions } from "../rpcOptions.ts";

type Schemas = components["schemas"];

type OrderHandlers = Pick<
  Handlers<RequestContext>,
  "createOrder" | "cancelOrder" | "showPaymentPage" | "getOrderStatus" | "listEmitters" | "getOrderForBank"
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
    const { link_deeplinks, link_qr } = orderLinks(order.id, deps.publicUrl);
    const created: Whole<Schemas["OrderCreated"]> = {
      id: order.id,
      link_deeplinks,
      link_qr,
      jwt: signedDetails || undefined,
    };
    return { status: 201, type: "application/json", body: created };
  },

  async cancelOrder({ body }, { deps, requestId }) {
    const canceled = await deps.clients.orders.cancelOrder(
      { jws: body.jwt },
      { ...rpcOptions, headers: { [requestIdHeader]: requestId } },
    );
    return { status: 200, type: "application/json", body: orderStatus(canceled) };
  },

  async showPaymentPage({ query }, context) {
    const isMobile = query.mobile === undefined ? isPhone(context.headers) : query.mobile === 1;
    const banks = isMobile ? await context.initiators() : [];
    const found = await findOrder({ id: query.id, signedDetails: banks.some(takesSigned) }, context);
    if (!found) return { status: 404, type: "text/html", headers: pageHeaders, body: notFoundPage() };
    const links = orderLinks(query.id.toLowerCase(), context.deps.publicUrl);
    const body = await paymentPage({ found, banks, link: links.link_deeplinks, isMobile });
    // The page differs between phones and computers, so caches must keep them apart.
    const vary = query.mobile === undefined ? { Vary: "Sec-CH-UA-Mobile, User-Agent" as const } : {};
    return { status: 200, type: "text/html", headers: { ...pageHeaders, ...vary }, body };
  },

  async getOrderStatus({ query }, context) {
    const found = await readOrder({ id: query.id }, context, rpcOptions);
    return { status: 200, type: "application/json", body: orderStatus(found) };
  },

  async listEmitters(_input, { initiators }) {
    const banks = await initiators();
    return { status: 200, type: "application/json", body: banks.map(emitterAnswer) };
  },

  async getOrderForBank({ query }, context) {
    const found = await readOrder(onlyOrderId(query.id, query.order_id), context, asParty(context));
    return { status: 200, type: "application/json", body: orderForBank(found) };
  },
};

function emitterAnswer(bank: Participant): Whole<Schemas["Emitter"]> {
  return {
    name: bank.name,
    bic: bank.bic,
    logo_url: bank.logoUrl || undefined,
    deeplink_prefix: bank.deepLinkPrefix,
    deep_link_content: takesSigned(bank) ? "signed_order" : "order_id",
  };
}

/**
 * The order's token from body or query, an empty one counting as none. Two are refused, because they could be of different orders.
 */
function onlyToken(inBody = "", inQuery = ""): string {
  const token = inBody || inQuery;
  if (token === "") throw new RestRefusal("INVALID_REQUEST", { text: "jwt is missing", field: "jwt" });
  if (inQuery !== "" && inQuery !== token) {
    throw new RestRefusal("INVALID_REQUEST", {
      text: "jwt is given twice, in the query and in the body",
      field: "jwt",
    });
  }
  return token;
}

/** The order's id under either of its two parameter names. */
function onlyOrderId(id: string | undefined, orderId: string | undefined): WantedOrder {
  const wanted = id ?? orderId;
  if (wanted === undefined) throw new RestRefusal("INVALID_REQUEST", { text: "id is missing", field: "id" });
  if (orderId !== undefined && orderId.toLowerCase() !== wanted.toLowerCase()) {
    const text = "order_id is given beside id and names another order";
    throw new RestRefusal("INVALID_REQUEST", { text, field: "order_id" });
  }
  return { id: wanted, parameter: id === undefined ? "order_id" : "id" };
}

/** The client hint if there is one, or else the user agent: those of phones contain "Mobi". */
function isPhone(headers: RequestContext["headers"]): boolean {
  const hint = headers["sec-ch-ua-mobile"];
  return hint === "?1" || (hint !== "?0" && /Mobi/i.test(headers["user-agent"] ?? ""));
}

/** `parameter`: the name that the caller used, if it is not `id`. */
type WantedOrder = { id: string; parameter?: "id" | "order_id"; signedDetails?: boolean };

/** Reads an order; a refusal uses the parameter name that the caller used. */
async function readOrder(
  { id, parameter = "id", signedDetails = false }: WantedOrder,
  { deps }: RequestContext,
  options: typeof rpcOptions,
): Promise<GetOrderResponse> {
  try {
    return await deps.clients.orders.getOrder({ orderId: id.toLowerCase(), signedDetails }, options);
  } catch (error) {
    throw asRefusal(error, { order_id: parameter }) ?? error;
  }
}

async function findOrder(wanted: WantedOrder, context: RequestContext): Promise<GetOrderResponse | undefined> {
  try {
    return await readOrder(wanted, context, rpcOptions);
  } catch (error) {
    if (error instanceof RestRefusal && error.code === "ORDER_NOT_FOUND") return undefined;
    throw error;
  }
}
