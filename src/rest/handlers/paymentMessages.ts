import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { paymentMessageAnswer } from "../../wire/paymentMessage.ts";
import { asParty, type RequestContext } from "../context.ts";

type PaymentMessageHandlers = Pick<
  Handlers<RequestContext>,
  | "submitPaymentMessage"
  | "submitPaymentMessageAlias"
  | "submitPaymentMessageHyphenAlias"
  | "getPaymentMessage"
  | "getPaymentMessageByOrder"
>;

export const paymentMessageHandlers: PaymentMessageHandlers = {
  submitPaymentMessage: ({ body }, context) => submit(body.jwt, context),
  submitPaymentMessageAlias: ({ body }, context) => submit(body.jwt, context),
  submitPaymentMessageHyphenAlias: ({ body }, context) => submit(body.jwt, context),

  async getPaymentMessage({ path }, context) {
    const guid = path.payment_message_guid.toLowerCase();
    return read({ case: "guid", value: guid }, context);
  },

  async getPaymentMessageByOrder({ path }, context) {
    return read({ case: "orderId", value: path.order_id.toLowerCase() }, context);
  },
};

async function submit(jws: string, context: RequestContext) {
  const { paymentMessages } = context.deps.clients;
  const { guid } = await paymentMessages.submitPaymentMessage({ jws, body: context.body }, asParty(context));
  const body: Whole<components["schemas"]["PaymentMessageCreated"]> = { guid };
  return { status: 201, type: "application/json", body } as const;
}

async function read(by: { case: "guid" | "orderId"; value: string }, context: RequestContext) {
  const found = await context.deps.clients.paymentMessages.getPaymentMessage({ by }, asParty(context));
  if (!found.paymentMessage) throw new Error("the core answered no payment message");
  return { status: 200, type: "application/json", body: paymentMessageAnswer(found.paymentMessage) } as const;
}
