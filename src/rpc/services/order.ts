import type { HandlerContext } from "@connectrpc/connect";
import { OrderStatus } from "../../../gen/dcm/v1/order_pb.ts";
import {
  type ListOrdersRequest,
  ListOrdersRequestSchema,
  type OrderService,
} from "../../../gen/dcm/v1/order_service_pb.ts";
import type { PaymentMessage } from "../../../gen/dcm/v1/payment_message_pb.ts";
import type { Core } from "../../core/core.ts";
import type { OrderFilter } from "../../core/orderList.ts";
import { publicPartOf } from "../../core/paymentMessages.ts";
import { orderStatuses, paymentStates } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { readingParty, seesPublicPart } from "../caller.ts";
import { invalidRequest, unlessRefused } from "../errors.ts";
import { named, period } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

/** Shorter than the deadline of calls, and than what proxies take for a dead connection. */
const longestWaitMs = 20_000;

export const orderHandlers = (core: Core): WholeAnswers<typeof OrderService> => ({
  async createOrder({ jws, signedDetails }) {
    const request = unlessRefused(await core.identity.orderOf(jws));
    const { order, alreadyExisted } = unlessRefused(await core.createOrder(request));
    const details = signedDetails ? await core.signedDetails(unlessRefused(await core.getOrder(order.id))) : "";
    return { order, alreadyExisted, signedDetails: details };
  },
  async getOrder({ orderId, signedDetails }, context) {
    const found = unlessRefused(await core.getOrder(orderId, readingParty(context)));
    // Nothing is signed for an order that is over, because a link to it leads nowhere.
    const isWanted = signedDetails && found.order?.status === OrderStatus.CREATED;
    const { order, merchant, creditorAgent, creditorAccount, encryptionJwk, paymentMessage } = found;
    return {
      order,
      merchant,
      creditorAgent,
      creditorAccount,
      encryptionJwk,
      paymentMessage: shown(paymentMessage, context),
      signedDetails: isWanted ? await core.signedDetails(found) : "",
    };
  },
  async cancelOrder({ jws }) {
    const canceled = await core.cancelOrder(unlessRefused(await core.identity.cancellationOf(jws)));
    const { order, paymentMessage } = unlessRefused(canceled);
    return { order, paymentMessage: paymentMessage && publicPartOf(paymentMessage) };
  },
  async waitForOrderChanges({ cursor }, { signal }) {
    const answer = await core.waitForOrderChanges(cursor, longestWaitMs, signal);
    return {
      changes: answer.changes.map(({ orderGuid, state }) => ({ orderId: orderGuid, state: paymentStates[state] })),
      cursor: answer.cursor,
      mayHaveMissed: answer.mayHaveMissed,
    };
  },
  async listOrders(request) {
    const filter = orderFilter(request);
    const asked = askedPage({ schema: ListOrdersRequestSchema, isKey: keys.guid, whenZero: 50 }, request);
    const found = await core.listOrders(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ id }) => [id]);
    return { orders: page, nextPageToken };
  },
});

/** A service that merely forwards sees only the public part. */
const shown = (message: PaymentMessage | undefined, context: HandlerContext) =>
  message && seesPublicPart(context) ? publicPartOf(message) : message;

function orderFilter(request: ListOrdersRequest): OrderFilter {
  const { party, ref } = request;
  if (ref !== "" && party.case !== "merchantGuid") throw invalidRequest("ref", "needs merchant_guid");
  return {
    party: orderParty(party),
    statuses: request.statuses.map((status) => named(orderStatuses, status)),
    ...period(request),
    ref: ref === "" ? undefined : ref,
  };
}

function orderParty(party: ListOrdersRequest["party"]): OrderFilter["party"] {
  if (party.case === undefined) return undefined;
  return party.case === "merchantGuid"
    ? { merchantGuid: party.value.toLowerCase() }
    : { creditorAgentGuid: party.value.toLowerCase() };
}
