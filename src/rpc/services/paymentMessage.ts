import {
  type GetPaymentMessageRequest,
  type ListPaymentMessagesRequest,
  ListPaymentMessagesRequestSchema,
  type PaymentMessageService,
} from "../../../gen/dcm/v1/payment_message_service_pb.ts";
import type { Core } from "../../core/core.ts";
import type { PaymentMessageFilter } from "../../core/paymentMessageList.ts";
import { paymentMessageStatuses } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { bankOf, readingParty } from "../caller.ts";
import { unlessRefused } from "../errors.ts";
import { named, period, required } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const paymentMessageHandlers = (core: Core): WholeAnswers<typeof PaymentMessageService> => ({
  async submitPaymentMessage({ jws, body }, context) {
    const request = unlessRefused(await core.identity.paymentMessageOf(bankOf(context), jws, body));
    return unlessRefused(await core.submitPaymentMessage(request));
  },
  async getPaymentMessage(request, context) {
    const key = paymentMessageKey(request);
    return { paymentMessage: unlessRefused(await core.getPaymentMessage(readingParty(context)?.guid, key)) };
  },
  async listPaymentMessages(request) {
    const filter = paymentMessageFilter(request);
    const asked = askedPage({ schema: ListPaymentMessagesRequestSchema, isKey: keys.guid, whenZero: 50 }, request);
    const found = await core.listPaymentMessages(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ guid }) => [guid]);
    return { paymentMessages: page, nextPageToken };
  },
});

function paymentMessageKey({ by }: GetPaymentMessageRequest): { guid: string } | { orderGuid: string } {
  const value = required(by.value);
  return by.case === "orderId" ? { orderGuid: value } : { guid: value };
}

function paymentMessageFilter(request: ListPaymentMessagesRequest): PaymentMessageFilter {
  return {
    party: messageParty(request.party),
    statuses: request.statuses.map((status) => named(paymentMessageStatuses, status)),
    ...period(request),
    externalId: request.externalId === "" ? undefined : request.externalId,
  };
}

function messageParty(party: ListPaymentMessagesRequest["party"]): PaymentMessageFilter["party"] {
  switch (party.case) {
    case "merchantGuid":
      return { merchantGuid: party.value.toLowerCase() };
    case "debtorAgentGuid":
      return { debtorAgentGuid: party.value.toLowerCase() };
    case "creditorAgentGuid":
      return { creditorAgentGuid: party.value.toLowerCase() };
    default:
      return undefined;
  }
}
