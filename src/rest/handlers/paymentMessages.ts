import type { GetPaymentMessageResponse } from "../../../gen/dcm/v1/payment_message_service_pb.ts";
import type { Handlers } from "../../../gen/rest/operations.ts";
import { verifySignedBy } from "../authenticate.ts";
import { callerOf, type RequestContext, rpcOptions } from "../context.ts";
import { paymentMessageAnswer, submitPaymentMessageRequest } from "../translate/paymentMessage.ts";
import { validClaims } from "../validate.ts";

type PaymentMessageHandlers = Pick<
  Handlers<RequestContext>,
  "submitPaymentMessage" | "submitPaymentMessageAlias" | "getPaymentMessage" | "getPaymentMessageByOrder"
>;

export const paymentMessageHandlers: PaymentMessageHandlers = {
  submitPaymentMessage: ({ body }, context) => submit(body.jwt, context),
  submitPaymentMessageAlias: ({ body }, context) => submit(body.jwt, context),

  async getPaymentMessage({ path }, context) {
    const guid = path.payment_message_guid.toLowerCase();
    return read({ case: "guid", value: guid }, context);
  },

  async getPaymentMessageByOrder({ path }, context) {
    return read({ case: "orderId", value: path.order_id.toLowerCase() }, context);
  },
};

async function submit(jwt: string, context: RequestContext) {
  const caller = callerOf(context);
  const claims = await verifySignedBy(caller.bank, jwt, context.parties);
  const request = submitPaymentMessageRequest(validClaims("PaymentMessageClaims", claims), caller, jwt);
  const { guid } = await context.deps.clients.paymentMessages.submitPaymentMessage(request, rpcOptions);
  return { status: 201, type: "application/json", body: { guid } } as const;
}

async function read(by: { case: "guid" | "orderId"; value: string }, context: RequestContext) {
  const callerGuid = callerOf(context).bank.guid;
  const found: GetPaymentMessageResponse = await context.deps.clients.paymentMessages.getPaymentMessage(
    { callerGuid, by },
    rpcOptions,
  );
  if (!found.paymentMessage) throw new Error("the core answered no payment message");
  return { status: 200, type: "application/json", body: paymentMessageAnswer(found.paymentMessage) } as const;
}
