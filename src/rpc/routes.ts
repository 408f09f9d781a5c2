import { create, type DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, Interceptor } from "@connectrpc/connect";
import { AuditService, ListAuditEntriesRequestSchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { CallbackService, ListCallbacksRequestSchema } from "../../gen/dcm/v1/callback_service_pb.ts";
import { CredentialService, ListCredentialsRequestSchema } from "../../gen/dcm/v1/credential_service_pb.ts";
import { GetOrderResponseSchema, ListOrdersRequestSchema, OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import {
  ListParticipantKeysRequestSchema,
  ListParticipantsRequestSchema,
  ParticipantService,
} from "../../gen/dcm/v1/participant_service_pb.ts";
import {
  ListPaymentMessagesRequestSchema,
  PaymentMessageService,
} from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { ListPlatformKeysRequestSchema, PlatformService } from "../../gen/dcm/v1/platform_service_pb.ts";
import {
  GetRegisterRequestSchema,
  ListRegisterActsRequestSchema,
  ListRegistersRequestSchema,
  SettlementService,
} from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { Core } from "../core/core.ts";
import { bankStatement } from "../core/identity/identity.ts";
import type { OrderWithParties } from "../core/orders.ts";
import type { PaymentMessage } from "../core/paymentMessages.ts";
import { maxActs } from "../core/registerActs.ts";
import { isOpen } from "../domain/order.ts";
import { orderDetailsClaims } from "../wire/order.ts";
import * as answers from "./answers.ts";
import { accessOf } from "./authorize.ts";
import { actorOf, bankOf, readingParty, seesPublicPart } from "./caller.ts";
import { bankRoles, participantKinds } from "./enums.ts";
import { unlessRefused } from "./errors.ts";
import { optionalNamed, required } from "./fields.ts";
import { askedPage, cutPage, keys } from "./pages.ts";
import * as requests from "./requests.ts";
import type { Whole, WholeAnswers } from "./whole.ts";

/** A service and its handlers by the local name of the method. */
export type ServiceRow = { service: DescService; handlers: Readonly<Record<string, unknown>> };

const row = <Service extends DescService>(service: Service, handlers: WholeAnswers<Service>): ServiceRow => ({
  service,
  handlers,
});

/** The services over one core: a handler translates, calls the use-case of its name, and translates back. */
export function coreServices(core: Core): ServiceRow[] {
  return [
    row(OrderService, orderHandlers(core)),
    row(PaymentMessageService, paymentMessageHandlers(core)),
    row(CallbackService, callbackHandlers(core)),
    row(SettlementService, settlementHandlers(core)),
    row(ParticipantService, participantHandlers(core)),
    row(CredentialService, credentialHandlers(core)),
    row(AuditService, auditHandlers(core)),
    row(PlatformService, platformHandlers(core)),
  ];
}

/** The same for a router of Connect, which serves them over the network. Throws for a method that nobody may call. */
export function routesOf(
  services: readonly ServiceRow[],
  interceptors: Interceptor[] = [],
): (router: ConnectRouter) => void {
  return (router) => {
    for (const { service, handlers } of services) {
      const forNobody = service.methods.find((method) => accessOf(method).length === 0);
      if (forNobody !== undefined)
        throw new Error(`${service.typeName}/${forNobody.name} names nobody who may call it`);
      router.service(service, handlers as never, { interceptors });
    }
  };
}

const platformHandlers = (core: Core): WholeAnswers<typeof PlatformService> => ({
  listSigningKeys() {
    const { jwks, maxAgeSeconds } = core.listSigningKeys();
    return { jwks: jwks.map((jwk) => JSON.stringify(jwk)), maxAgeSeconds };
  },
  async listPlatformKeys(request) {
    const asked = askedPage({ schema: ListPlatformKeysRequestSchema, isKey: keys.text, whenZero: 100 }, request);
    const found = await core.listPlatformKeys({ limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ kid }) => [kid]);
    return { keys: page.map(answers.toPlatformKey), nextPageToken };
  },
  async rotatePlatformKey(request, context) {
    const rotated = await core.rotatePlatformKey(actorOf(context), requests.rotationWish(request));
    const { key, retired } = unlessRefused(rotated);
    return { key: answers.toPlatformKey(key), retired: retired.map(answers.toPlatformKey) };
  },
});

const credentialHandlers = (core: Core): WholeAnswers<typeof CredentialService> => ({
  async addCredential(request, context) {
    const { credential, secret } = unlessRefused(
      await core.addCredential(actorOf(context), requests.wantedCredential(request)),
    );
    return { credential: answers.toCredential(credential), secret };
  },
  async listCredentials(request) {
    const asked = askedPage({ schema: ListCredentialsRequestSchema, isKey: keys.text, whenZero: 100 }, request);
    const found = await core.listCredentials({ limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ name }) => [name]);
    return { credentials: page.map(answers.toCredential), nextPageToken };
  },
  async revokeCredential({ name }, context) {
    return { credential: answers.toCredential(unlessRefused(await core.revokeCredential(actorOf(context), name))) };
  },
});

const auditHandlers = (core: Core): WholeAnswers<typeof AuditService> => ({
  async listAuditEntries(request) {
    const asked = askedPage({ schema: ListAuditEntriesRequestSchema, isKey: keys.number, whenZero: 50 }, request);
    const before = asked.after && Number(asked.after[0]);
    const found = await core.listAuditEntries(requests.auditFilter(request), { limit: asked.limit + 1, before });
    const { page, nextPageToken } = cutPage(found, asked, ({ number }) => [String(number)]);
    return { entries: page.map(answers.toAuditEntry), nextPageToken };
  },
});

const orderHandlers = (core: Core): WholeAnswers<typeof OrderService> => {
  type Answer = Whole<typeof GetOrderResponseSchema>;
  const answerOf = (
    found: OrderWithParties,
    toMessage: (message: PaymentMessage) => Answer["paymentMessage"] = answers.toPaymentMessage,
    signedDetails = "",
  ): Answer => ({
    order: answers.toOrder(found.order),
    merchant: answers.toParticipant(found.merchant),
    creditorAgent: answers.toParticipant(found.creditorAgent),
    creditorAccount: found.creditorAccount,
    encryptionJwk: answers.jwkText(found.encryptionJwk),
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
      const filter = requests.orderFilter(request);
      const asked = askedPage({ schema: ListOrdersRequestSchema, isKey: keys.guid, whenZero: 50 }, request);
      const found = await core.listOrders(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
      const { page, nextPageToken } = cutPage(found, asked, ({ guid }) => [guid]);
      return { orders: page.map(answers.toOrder), nextPageToken };
    },
  };
};

const paymentMessageHandlers = (core: Core): WholeAnswers<typeof PaymentMessageService> => ({
  async submitPaymentMessage({ jws, body }, context) {
    const request = unlessRefused(await core.identity.paymentMessageOf(bankOf(context), jws, body));
    return unlessRefused(await core.submitPaymentMessage(request));
  },
  async getPaymentMessage(request, context) {
    const key = requests.paymentMessageKey(request);
    const message = unlessRefused(await core.getPaymentMessage(readingParty(context)?.guid, key));
    return { paymentMessage: answers.toPaymentMessage(message) };
  },
  async listPaymentMessages(request) {
    const filter = requests.paymentMessageFilter(request);
    const asked = askedPage({ schema: ListPaymentMessagesRequestSchema, isKey: keys.guid, whenZero: 50 }, request);
    const found = await core.listPaymentMessages(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ guid }) => [guid]);
    return { paymentMessages: page.map(answers.toListedPaymentMessage), nextPageToken };
  },
});

const callbackHandlers = (core: Core): WholeAnswers<typeof CallbackService> => ({
  async listCallbacks(request, context) {
    const reader = readingParty(context);
    const filter = requests.callbackFilter(request.filter, reader);
    const asked = askedPage({ schema: ListCallbacksRequestSchema, isKey: keys.guid, whenZero: 50 }, request, reader);
    const found = await core.listCallbacks(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ guid }) => [guid]);
    return { callbacks: page.map(answers.toCallback), nextPageToken };
  },
  async getCallback(request) {
    const { callback, attempts } = unlessRefused(await core.getCallback(request.guid));
    return { callback: answers.toCallback(callback), attempts: attempts.map(answers.toCallbackAttempt) };
  },
  async replayCallback(request, context) {
    return { callback: answers.toCallback(unlessRefused(await core.replayCallback(actorOf(context), request.guid))) };
  },
  async replayCallbacks(request, context) {
    return { replayed: await core.replayCallbacks(actorOf(context), requests.callbackFilter(request.filter)) };
  },
  async redriveDeadLetters({ limit }, context) {
    const atMost = limit === 0 ? 1_000 : Math.min(limit, 10_000);
    return { redriven: await core.redriveDeadLetters(actorOf(context), atMost) };
  },
  async resolveCallback({ guid, note }, context) {
    const resolved = await core.resolveCallback(actorOf(context), guid, note);
    return { callback: answers.toCallback(unlessRefused(resolved)) };
  },
});

const registerList = {
  schema: ListRegistersRequestSchema,
  isKey: keys.number,
  whenZero: 50,
  placeFields: ["offset", "limit"],
} as const;
const registerPaymentList = {
  schema: GetRegisterRequestSchema,
  isKey: keys.guid,
  whenZero: 500,
  most: requests.maxPaymentsInPage,
  placeFields: ["paymentsLimit", "paymentsAfter"],
} as const;
const registerActList = {
  schema: ListRegisterActsRequestSchema,
  isKey: keys.number,
  whenZero: maxActs,
  most: maxActs,
  placeFields: ["afterNumber"],
} as const;

const settlementHandlers = (core: Core): WholeAnswers<typeof SettlementService> => ({
  async closeRegisters({ day, allowOpenDay }, context) {
    const registers = unlessRefused(await core.closeRegisters(actorOf(context), day, allowOpenDay));
    return { registers: registers.map(answers.toRegister) };
  },
  async listRegisters(request, context) {
    const reader = readingParty(context);
    const filter = requests.registerQuery(request, reader);
    const asked = askedPage(registerList, request, reader);
    const wanted = requests.registerPage(request, asked);
    const { registers, total } = await core.listRegisters({ ...filter, ...wanted, limit: wanted.limit + 1 });
    const { page, nextPageToken } = cutPage(registers, { ...asked, limit: wanted.limit }, ({ id }) => [id]);
    return { registers: page.map(answers.toRegister), totalCount: BigInt(total), nextPageToken };
  },
  async getRegister(request, context) {
    const actor = actorOf(context);
    const asked = askedPage(registerPaymentList, request, readingParty(context));
    const page = requests.paymentsPage(request, asked);
    const found = unlessRefused(await core.getRegister(readingParty(context)?.guid, request.registerId, page));
    const { register, payments, hasMore } = found;
    const last = hasMore ? (payments.at(-1)?.guid ?? "") : "";
    return {
      register: answers.toRegister(register),
      payments: payments.map((payment) => answers.toRegisterPayment(payment, register.currency)),
      nextPaymentsAfter: last,
      nextPageToken: last === "" ? "" : asked.tokenOf([last]),
      continuation: hasMore && actor.kind === "bank" ? core.identity.continuationOf(actor) : "",
    };
  },
  async payRegister({ registerId, body }, context) {
    const statement = unlessRefused(await core.identity.payStatementOf(bankOf(context), registerId, body));
    return unlessRefused(await core.payRegister(statement));
  },
  async confirmRegister({ registerId, body }, context) {
    const statement = unlessRefused(await core.identity.confirmStatementOf(bankOf(context), registerId, body));
    return unlessRefused(await core.confirmRegister(statement));
  },
  async confirmInternalRegister({ registerId }, context) {
    return unlessRefused(await core.confirmInternalRegister(bankStatement(bankOf(context), registerId)));
  },
  async reopenRegister({ registerId, note }, context) {
    const reopened = await core.reopenRegister(actorOf(context), registerId, note);
    return { register: answers.toRegister(unlessRefused(reopened)) };
  },
  async listRegisterActs(request) {
    const asked = askedPage(registerActList, request);
    const after = requests.actsAfter(request, asked);
    const found = unlessRefused(await core.listRegisterActs(request.registerId, after, asked.limit));
    const { register, acts, hasMore } = found;
    const last = hasMore ? (acts.at(-1)?.number ?? 0) : 0;
    return {
      register: answers.toRegister(register),
      acts: acts.map(answers.toRegisterAct),
      nextAfterNumber: BigInt(last),
      nextPageToken: last === 0 ? "" : asked.tokenOf([String(last)]),
    };
  },
  async reconcileRegisters({ lastDays }) {
    const days = lastDays === 0 ? 7 : Math.min(lastDays, 3_660);
    return { discrepancies: await core.reconcileRegisters(days) };
  },
});

const participantHandlers = (core: Core): WholeAnswers<typeof ParticipantService> => ({
  async registerBank(request, context) {
    const registration = requests.registration("bank", required(request.bank));
    const registered = await core.registerParticipant(actorOf(context), registration, { prove: request.prove });
    return { bank: answers.toParticipant(unlessRefused(registered)) };
  },
  async registerMerchant(request, context) {
    const registration = requests.registration("merchant", required(request.merchant));
    const registered = await core.registerParticipant(actorOf(context), registration, { prove: request.prove });
    return { merchant: answers.toParticipant(unlessRefused(registered)) };
  },
  async listParticipants(request) {
    const asked = askedPage({ schema: ListParticipantsRequestSchema, isKey: keys.nameAndGuid, whenZero: 100 }, request);
    const [name = "", guid = ""] = asked.after ?? [];
    const filter = {
      kind: optionalNamed(participantKinds, request.kind),
      role: optionalNamed(bankRoles, request.role),
    };
    const after = asked.after && { name, guid };
    const found = await core.listParticipants(filter, { limit: asked.limit + 1, after });
    const { page, nextPageToken } = cutPage(found, asked, (participant) => [participant.name, participant.guid]);
    return { participants: page.map(answers.toParticipant), nextPageToken };
  },
  async getParticipant(request) {
    const found = unlessRefused(await core.getParticipant(requests.participantKey(request)));
    return { participant: answers.toParticipant(found) };
  },
  async updateParticipant(request, context) {
    const change = requests.participantChange(request);
    const version = requests.expectedVersion(request.version);
    const changed = await core.updateParticipant(actorOf(context), request.guid, change, version);
    return { participant: answers.toParticipant(unlessRefused(changed)) };
  },
  suspendParticipant: changedStatus(core.suspendParticipant),
  resumeParticipant: changedStatus(core.resumeParticipant),
  closeParticipant: changedStatus(core.closeParticipant),
  async listParticipantKeys(request) {
    const holder = unlessRefused(await core.getParticipant({ guid: request.guid }));
    const asked = askedPage({ schema: ListParticipantKeysRequestSchema, isKey: keys.number, whenZero: 100 }, request);
    const after = asked.after && Number(asked.after[0]);
    const [found, keySet] = await Promise.all([
      core.listParticipantKeys(holder.guid, { limit: asked.limit + 1, after }),
      core.getKeySet(holder.guid),
    ]);
    const { page, nextPageToken } = cutPage(found, asked, ({ id }) => [String(id)]);
    return {
      keys: page.map(answers.toParticipantKey),
      keySet: keySet && answers.toKeySet(keySet),
      nextPageToken,
    };
  },
  async addParticipantKey(request, context) {
    const wish = requests.keyWish(request);
    return unlessRefused(await core.addParticipantKey(actorOf(context), request.guid, wish));
  },
  async retireParticipantKey(request, context) {
    const key = requests.retiredKey(request);
    const retired = await core.retireParticipantKey(actorOf(context), request.guid, key);
    return { participant: answers.toParticipant(unlessRefused(retired)) };
  },
  async pingParticipant({ guid }) {
    return { results: unlessRefused(await core.pingParticipant(guid)).map(answers.toPingResult) };
  },
  async addOwnKey({ body }, context) {
    const bank = bankOf(context);
    const wish = unlessRefused(await core.identity.ownKeyOf(bank, body));
    return unlessRefused(await core.addOwnKey(bank, wish));
  },
});

/** One step in the life of a participant: each takes whom as which version, and answers the participant as it stands then. */
const changedStatus =
  (step: Core["suspendParticipant"]) =>
  async ({ guid, version }: { guid: string; version: bigint }, context: HandlerContext) => {
    const changed = await step(actorOf(context), { guid, version: requests.expectedVersion(version) });
    return { participant: answers.toParticipant(unlessRefused(changed)) };
  };
