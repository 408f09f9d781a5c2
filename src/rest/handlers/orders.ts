import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import { BankRole, type Participant } from "../../../gen/dcm/v1/participant_pb.ts";
import type { Handlers } from "../../../gen/rest/operations.ts";
import { verifyOrder } from "../authenticate.ts";
import { callerOf, type RequestContext, rpcOptions } from "../context.ts";
import { coreReason, RestRefusal } from "../errors.ts";
import { notFoundPage, paymentPage } from "../pages/paymentPage.ts";
import { createOrderRequest, orderForBank, orderLinks, orderStatus } from "../translate/order.ts";
import { validClaims } from "../validate.ts";

type OrderHandlers = Pick<
  Handlers<RequestContext>,
  "createOrder" | "showPaymentPage" | "getOrderStatus" | "listEmitters" | "getOrderForBank"
>;

export const orderHandlers: OrderHandlers = {
  async createOrder({ query, body }, { deps, parties }) {
    const token = body?.jwt ?? query.jwt;
    if (token === undefined) throw new RestRefusal("INVALID_REQUEST", { text: "jwt is missing", field: "jwt" });
    const { merchant, claims } = await verifyOrder(token, parties);
    const request = createOrderRequest(validClaims("OrderClaims", claims), merchant.guid, token);
    const { order } = await deps.clients.orders.createOrder(request, rpcOptions);
    if (!order) throw new Error("the core answered no order");
    const created = { id: order.id, ...orderLinks(order.id, deps.publicUrl) };
    const jwt = query.custom ? { jwt: await signedDetails(order.id, deps) } : {};
    return { status: 201, type: "application/json", body: { ...created, ...jwt } };
  },

  async showPaymentPage({ query }, context) {
    const found = await findOrder(query.id, context);
    if (!found) return { status: 404, type: "text/html", body: notFoundPage() };
    const links = orderLinks(query.id.toLowerCase(), context.deps.publicUrl);
    const banks = query.mobile === 1 ? await context.parties.initiators() : [];
    const now = context.deps.clock();
    const body = await paymentPage({ found, now, banks, link: links.link_deeplinks, isMobile: query.mobile === 1 });
    return { status: 200, type: "text/html", body };
  },

  async getOrderStatus({ query }, { deps }) {
    const found = await deps.clients.orders.getOrder({ orderId: query.id.toLowerCase() }, rpcOptions);
    return { status: 200, type: "application/json", body: orderStatus(found) };
  },

  async listEmitters(_input, { parties }) {
    const banks = await parties.initiators();
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
    const found = await context.deps.clients.orders.getOrder({ orderId: id.toLowerCase() }, rpcOptions);
    if (!isForBank(found, callerOf(context).bank)) throw new RestRefusal("ORDER_NOT_FOUND", { field: "id" });
    return { status: 200, type: "application/json", body: orderForBank(found) };
  },
};

/** Whoever may pay the order, or services its merchant; no other bank can ever be a side of it. */
function isForBank({ creditorAgent }: GetOrderResponse, bank: Participant): boolean {
  return bank.roles.includes(BankRole.INITIATOR) || bank.guid === creditorAgent?.guid;
}

/** The order's details under the platform's signature, for deep links that a merchant draws itself. */
async function signedDetails(orderId: string, deps: RequestContext["deps"]): Promise<string> {
  const details = orderForBank(await deps.clients.orders.getOrder({ orderId }, rpcOptions));
  const { public_key: _notPartOfALink, ...claims } = details;
  return deps.signAsPlatform({ ...claims, iat: Math.floor(deps.clock().getTime() / 1000) });
}

async function findOrder(id: string, { deps }: RequestContext): Promise<GetOrderResponse | undefined> {
  try {
    return await deps.clients.orders.getOrder({ orderId: id.toLowerCase() }, rpcOptions);
  } catch (error) {
    if (coreReason(error) === "ORDER_NOT_FOUND") return undefined;
    throw error;
  }
}
