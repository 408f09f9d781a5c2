import { create } from "@bufbuild/protobuf";
import {
  GetOrderResponseSchema,
  type ListOrdersRequest,
  ListOrdersRequestSchema,
  type OrderService,
} from "../../../gen/dcm/v1/order_service_pb.ts";
import type { Core } from "../../core/core.ts";
import type { OrderFilter } from "../../core/orderList.ts";
import type { OrderWithParties } from "../../core/orders.ts";
import type { PaymentMessage } from "../../core/paymentMessages.ts";
import { isOpen } from "../../domain/order.ts";
import { orderStatuses } from "../../wire/enums.ts";
import { orderDetailsClaims } from "../../wire/order.ts";
import { jwkText, toParticipant } from "../../wire/participant.ts";
import type { Whole, WholeAnswers } from "../../wire/whole.ts";
import * as answers from "../answers.ts";
import { readingParty, seesPublicPart } from "../caller.ts";
import { invalidRequest, unlessRefused } from "../errors.ts";
import { named, period } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const orderHandlers = (core: Core): WholeAnswers<typeof OrderService> => {
  type Answer = Whole<typeof GetOrderResponseSchema>;
  const answerOf = (
    found: OrderWithParties,
    toMessage: (message: PaymentMessage) => Answer["paymentMessage"] = answers.toPaymentMessage,
    signedDetails = "",
  ): Answer => ({
    order: answers.toOrder(found.order),
    merchant: toParticipant(found.merchant),
    creditorAgent: toParticipant(found.creditorAgent),
    creditorAccount: found.creditorAccount,
    encryptionJwk: jwkText(found.encryptionJwk),
    paymentMessage: found.paymentMessage && toMessage(found.paymentMessage),
    signedDetails,
  });
  const signed = (found: OrderWithParties) =>
    core.signedDetails(found.order.guid, (now) =>
      orderDetailsClaims(create(GetOrderResponseSchema, answerOf(found)), now),
    );
  return {
    async createOrder({ jws, signedDetails }) {
      const request = unlessRefused(await core.identity.orderOf(jws));
      const { order, alreadyExisted } = unlessRefused(await core.createOrder(request));
      const details = signedDetails ? await signed(unlessRefused(await core.getOrder(order.guid))) : "";
      return { order: answers.toOrder(order), alreadyExisted, signedDetails: details };
    },
    async getOrder({ orderId, signedDetails }, context) {
      const toMessage = seesPublicPart(context) ? answers.toPublicPaymentMessage : answers.toPaymentMessage;
      const found = unlessRefused(await core.getOrder(orderId, readingParty(context)));
      // A link to an order that is over leads nowhere: nothing is signed for it.
      const isWanted = signedDetails && isOpen(found.order, core.now());
      return answerOf(found, toMessage, isWanted ? await signed(found) : "");
    },
    async cancelOrder({ jws }) {
      const canceled = await core.cancelOrder(unlessRefused(await core.identity.cancellationOf(jws)));
      const { order, paymentMessage } = unlessRefused(canceled);
      return {
        order: answers.toOrder(order),
        paymentMessage: paymentMessage && answers.toPublicPaymentMessage(paymentMessage),
      };
    },
    async listOrders(request) {
      const filter = orderFilter(request);
      const asked = askedPage({ schema: ListOrdersRequestSchema, isKey: keys.guid, whenZero: 50 }, request);
      const found = await core.listOrders(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
      const { page, nextPageToken } = cutPage(found, asked, ({ guid }) => [guid]);
      return { orders: page.map(answers.toOrder), nextPageToken };
    },
  };
};

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
