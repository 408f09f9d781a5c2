import { RegisterRole } from "../../../gen/dcm/v1/settlement_pb.ts";
import {
  type GetRegisterRequest,
  GetRegisterRequestSchema,
  type ListRegisterActsRequest,
  ListRegisterActsRequestSchema,
  type ListRegistersRequest,
  ListRegistersRequestSchema,
  type SettlementService,
} from "../../../gen/dcm/v1/settlement_service_pb.ts";
import { limits } from "../../../gen/rest/limits.ts";
import type { Core } from "../../core/core.ts";
import { bankStatement } from "../../core/identity/identity.ts";
import { maxActs } from "../../core/registerActs.ts";
import type { PaymentsPage, RegisterFilter, RegisterPage } from "../../core/settlements.ts";
import type { Participant } from "../../domain/participant.ts";
import { registerStatuses } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { actorOf, bankOf, ofReader, readingParty } from "../caller.ts";
import { invalidRequest, unlessRefused } from "../errors.ts";
import { named, optionalGuid, optionalInstant } from "../fields.ts";
import { type AskedPage, askedPage, cutPage, keys, mostRows } from "../pages.ts";

/** About 300 bytes per payment plus its purpose: a page of some 2 MB at most, below the 4 MiB limit of a gRPC message. */
const maxPaymentsInPage = limits.registerPaymentsPageMax;

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
  most: maxPaymentsInPage,
  placeFields: ["paymentsLimit", "paymentsAfter"],
} as const;
const registerActList = {
  schema: ListRegisterActsRequestSchema,
  isKey: keys.number,
  whenZero: maxActs,
  most: maxActs,
  placeFields: ["afterNumber"],
} as const;

export const settlementHandlers = (core: Core): WholeAnswers<typeof SettlementService> => ({
  async closeRegisters({ day, allowOpenDay }, context) {
    const registers = unlessRefused(await core.closeRegisters(actorOf(context), day, allowOpenDay));
    return { registers };
  },
  async listRegisters(request, context) {
    const reader = readingParty(context);
    const filter = registerQuery(request, reader);
    const asked = askedPage(registerList, request, reader);
    const wanted = registerPage(request, asked);
    const { registers, total } = await core.listRegisters({ ...filter, ...wanted, limit: wanted.limit + 1 });
    const { page, nextPageToken } = cutPage(registers, { ...asked, limit: wanted.limit }, ({ id }) => [id]);
    return { registers: page, totalCount: BigInt(total), nextPageToken };
  },
  async getRegister(request, context) {
    const actor = actorOf(context);
    const asked = askedPage(registerPaymentList, request, readingParty(context));
    const page = paymentsPage(request, asked);
    const found = unlessRefused(await core.getRegister(readingParty(context)?.guid, request.registerId, page));
    const { register, payments, hasMore } = found;
    const last = hasMore ? (payments.at(-1)?.paymentMessageGuid ?? "") : "";
    return {
      register,
      payments,
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
    return { register: unlessRefused(reopened) };
  },
  async listRegisterActs(request) {
    const asked = askedPage(registerActList, request);
    const after = actsAfter(request, asked);
    const found = unlessRefused(await core.listRegisterActs(request.registerId, after, asked.limit));
    const { register, acts, hasMore } = found;
    const last = hasMore ? (acts.at(-1)?.number ?? 0n) : 0n;
    return {
      register,
      acts,
      nextAfterNumber: last,
      nextPageToken: last === 0n ? "" : asked.tokenOf([String(last)]),
    };
  },
  async reconcileRegisters({ lastDays }) {
    const days = lastDays === 0 ? 7 : Math.min(lastDays, 3_660);
    return { discrepancies: await core.reconcileRegisters(days) };
  },
});

/** Where a page of payments begins: the REST operation names the payment before it, a service sends a page token. */
function paymentsPage({ paymentsLimit, paymentsAfter, pageSize }: GetRegisterRequest, page: AskedPage): PaymentsPage {
  if (page.after !== undefined && paymentsAfter !== "")
    throw invalidRequest("payments_after", "goes with no page_token");
  return {
    limit: pageSize === 0 && paymentsLimit > 0 ? Math.min(paymentsLimit, maxPaymentsInPage) : page.limit,
    after: optionalGuid(paymentsAfter) ?? page.after?.[0],
  };
}

/** `reader`: the bank that lists its own registers; undefined for a service, which names the bank. */
function registerQuery(request: ListRegistersRequest, reader: Participant | undefined): RegisterFilter {
  const bankGuid = ofReader(request.bankGuid, reader, "bank_guid");
  if (bankGuid === undefined) throw invalidRequest("bank_guid", "is missing");
  return {
    bankGuid,
    anySide: request.role === RegisterRole.ALL,
    from: optionalInstant(request.from),
    to: optionalInstant(request.to),
    statuses: request.statuses.map((status) => named(registerStatuses, status)),
    updatedFrom: optionalInstant(request.updatedFrom),
  };
}

/** Where a page of registers begins: the REST operation gives an offset, a service sends a page token. */
function registerPage({ offset, limit, pageSize }: ListRegistersRequest, page: AskedPage): RegisterPage {
  if (page.after !== undefined && offset > 0) throw invalidRequest("offset", "goes with no page_token");
  return {
    limit: pageSize === 0 && limit > 0 ? Math.min(limit, mostRows) : page.limit,
    ...(page.after === undefined ? { offset } : { after: page.after[0] ?? "" }),
  };
}

/** The number of the act after which a page begins. */
function actsAfter({ afterNumber }: ListRegisterActsRequest, page: AskedPage): number {
  if (page.after === undefined) return Number(afterNumber);
  if (afterNumber !== 0n) throw invalidRequest("after_number", "goes with no page_token");
  return Number(page.after[0]);
}
