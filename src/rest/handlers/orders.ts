import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../../gen/dcm/v1/participant_pb.ts";
import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { requestIdHeader } from "../../wire/metadata.ts";
import { orderForBank, orderLinks, orderStatus, paymentState } from "../../wire/order.ts";
import { asParty, type RequestContext } from "../context.ts";
import { asRefusal, RestRefusal } from "../errors.ts";
import { feedOf, isFinal, placeOf } from "../orderFeed.ts";
import { takesSigned } from "../pages/payment/parts.ts";
import { paymentPage, paymentPageHeaders } from "../pages/payment/paymentPage.ts";
import { isPhoneOf, preferredLanguage, prefersPage } from "../pages/payment/suits.ts";
import { rpcOptions } from "../rpcOptions.ts";

type Schemas = components["schemas"];

type OrderHandlers = Pick<
  Handlers<RequestContext>,
  | "createOrder"
  | "cancelOrder"
  | "showPaymentPage"
  | "getOrderStatus"
  | "followOrder"
  | "listEmitters"
  | "getOrderForBank"
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
    const { headers, deps } = context;
    if (!prefersPage(headers, "page")) {
      const found = await readOrder({ id: query.id }, context, rpcOptions);
      return { status: 200, type: "application/json", headers: {}, body: orderStatus(found) };
    }
    const isPhone = query.mobile === undefined ? isPhoneOf(headers) : query.mobile === 1;
    const banks = isPhone ? await context.initiators() : [];
    const found = await readOrder({ id: query.id, signedDetails: banks.some(takesSigned) }, context, rpcOptions);
    const links = orderLinks(query.id.toLowerCase(), deps.publicUrl);
    const vary = query.mobile === undefined ? { Vary: "Sec-CH-UA-Mobile, User-Agent" as const } : {};
    const language = query.lang ?? preferredLanguage(headers);
    const body = paymentPage({ found, banks, links, query, isPhone, language, now: new Date() });
    return { status: 200, type: "text/html", headers: { ...paymentPageHeaders, ...vary }, body };
  },

  async getOrderStatus({ query }, context) {
    const found = await readOrder({ id: query.id }, context, rpcOptions);
    return { status: 200, type: "application/json", body: orderStatus(found) };
  },

  async followOrder({ query }, context) {
    const { live, headers } = context;
    // It is followed before it is read, so that no change falls between the two.
    const followed = await live.follower.follow(query.id.toLowerCase());
    try {
      const state = paymentState(await readOrder({ id: query.id }, context, rpcOptions));
      if (isFinal(state) && Number(headers["last-event-id"]) === placeOf[state]) {
        followed.leave();
        return { status: 204 };
      }
      const events = feedOf(state, followed);
      return { status: 200, type: "text/event-stream", headers: { "X-Accel-Buffering": "no" }, events };
    } catch (error) {
      followed.leave();
      throw error;
    }
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
