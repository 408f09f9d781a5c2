import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Register, RegisterRole } from "../../../gen/dcm/v1/settlement_pb.ts";
import type { GetRegisterRequestSchema, GetRegisterResponse } from "../../../gen/dcm/v1/settlement_service_pb.ts";
import type { Handlers } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { verifySignedBy } from "../authenticate.ts";
import { callerOf, type RequestContext, rpcOptions } from "../context.ts";
import { RestRefusal } from "../errors.ts";
import { accessToken } from "../translate/accessToken.ts";
import { registerAnswer, registerPaymentAnswer, registerStatuses, settlementPayment } from "../translate/settlement.ts";
import { timestampOfQuery } from "../translate/time.ts";
import { validClaims } from "../validate.ts";

type SettlementHandlers = Pick<
  Handlers<RequestContext>,
  | "listGrossSettlements"
  | "getGrossSettlement"
  | "payGrossSettlement"
  | "confirmGrossSettlement"
  | "confirmInternalGrossSettlement"
>;

const roles = { Debtor: RegisterRole.DEBTOR, All: RegisterRole.ALL } as const;

/** Payments that are read at a time for a whole register. They are made at one go, and whoever comes meanwhile waits: a millisecond. */
const PAGE_SIZE = 25;
/** A register of more payments is streamed; 500 are about 250 KB of the answer. */
const MOST_WHOLE = 500;

export const settlementHandlers: SettlementHandlers = {
  async listGrossSettlements({ query }, context) {
    const { registers, totalCount } = await context.deps.clients.settlements.listRegisters(
      {
        callerGuid: callerOf(context).bank.guid,
        role: roles[query.role ?? "Debtor"],
        ...(query.from === undefined ? {} : { from: timestampOfQuery(query.from, "from") }),
        ...(query.to === undefined ? {} : { to: timestampOfQuery(query.to, "to") }),
        ...(query.updated_from === undefined
          ? {}
          : { updatedFrom: timestampOfQuery(query.updated_from, "updated_from") }),
        statuses: query.status === undefined ? [] : [registerStatuses[query.status]],
        offset: query.offset ?? 0,
        limit: query.limit ?? 50,
      },
      rpcOptions,
    );
    const headers = { "X-Total-Count": Number(totalCount) };
    return { status: 200, type: "application/json", headers, body: registers.map(registerAnswer) };
  },

  async getGrossSettlement({ path, query }, context) {
    const isPage = query.payments_limit !== undefined || query.payments_after !== undefined;
    const request = {
      callerGuid: callerOf(context).bank.guid,
      registerId: path.register_id,
      paymentsLimit: query.payments_limit ?? (isPage ? MOST_WHOLE : PAGE_SIZE),
      paymentsAfter: query.payments_after ?? "",
    };
    const first = await context.deps.clients.settlements.getRegister(request, rpcOptions);
    const { register } = first;
    if (!register) throw new Error("the core answered no register");
    const head = registerAnswer(register);
    if (!isPage && register.paymentCount > MOST_WHOLE) {
      const pages = (signal: AbortSignal) => paymentPages(context, request, first, register, signal);
      return {
        status: 200,
        type: "application/json",
        stream: { head, list: "payments", pages, reader: request.callerGuid },
      };
    }
    const payments = paymentsOf(first, register);
    if (!isPage && first.nextPaymentsAfter !== "") {
      const others = { ...request, paymentsLimit: MOST_WHOLE, paymentsAfter: first.nextPaymentsAfter };
      const rest = await context.deps.clients.settlements.getRegister(others, rpcOptions);
      if (rest.nextPaymentsAfter !== "") throw new Error(`register ${register.id} has more payments than it counts`);
      payments.push(...paymentsOf(rest, register));
    }
    return { status: 200, type: "application/json", body: { ...head, payments } };
  },

  async payGrossSettlement({ path, body }, context) {
    const { claims, jws } = await stated("GrossSettlementPaymentClaims", body, context);
    if ("status" in claims) {
      // Taken for a payment, a signed confirmation would be evidence of the contrary.
      const text = "status belongs to a confirmation; a payment has none";
      throw new RestRefusal("INVALID_REQUEST", { text, field: "status" });
    }
    const { repeated } = await context.deps.clients.settlements.payRegister(
      { ...statement(path.register_id, jws, context), payment: settlementPayment(claims) },
      rpcOptions,
    );
    return accepted(repeated);
  },

  async confirmGrossSettlement({ path, body }, context) {
    const { claims, jws } = await stated("GrossSettlementConfirmationClaims", body, context);
    const { repeated } = await context.deps.clients.settlements.confirmRegister(
      {
        ...statement(path.register_id, jws, context),
        payment: settlementPayment(claims),
        paymentStatus: claims.status,
      },
      rpcOptions,
    );
    return accepted(repeated);
  },

  async confirmInternalGrossSettlement({ path }, context) {
    const { token } = callerOf(context).access;
    const request = statement(path.register_id, token, context);
    const { repeated } = await context.deps.clients.settlements.confirmInternalRegister(request, rpcOptions);
    return accepted(repeated);
  },
};

/** A register keeps its payments for ever, so pages that are read one after the other are one answer. */
async function* paymentPages(
  { deps }: RequestContext,
  request: MessageInitShape<typeof GetRegisterRequestSchema>,
  first: GetRegisterResponse,
  register: Register,
  signal: AbortSignal,
) {
  for (let page = first; ; ) {
    yield paymentsOf(page, register);
    if (page.nextPaymentsAfter === "") return;
    const further = { ...request, paymentsAfter: page.nextPaymentsAfter };
    page = await deps.clients.settlements.getRegister(further, { ...rpcOptions, signal });
  }
}

const paymentsOf = ({ payments }: GetRegisterResponse, register: Register) =>
  payments.map((payment) => registerPaymentAnswer(payment, register));

type Schemas = components["schemas"];
type StatementClaims = "GrossSettlementPaymentClaims" | "GrossSettlementConfirmationClaims";

/** What the bank says in the body, and what of the request it has signed: the body itself, or only that it is the caller. */
async function stated<Name extends StatementClaims>(
  name: Name,
  body: Schemas[Name] | Schemas["SignedBody"],
  context: RequestContext,
) {
  const { bank, access } = callerOf(context);
  if (!("jwt" in body) || typeof body.jwt !== "string") return { claims: validClaims(name, body), jws: access.token };
  return { claims: validClaims(name, await verifySignedBy(bank, body.jwt, context.parties)), jws: body.jwt };
}

/** What all statements about a register have in common. */
function statement(registerId: string, jws: string, context: RequestContext) {
  const { bank, access } = callerOf(context);
  return { callerGuid: bank.guid, registerId, jws, accessToken: accessToken(access) };
}

function accepted(repeated: boolean) {
  const answer = { type: "application/json", body: { created: "true" } } as const;
  return repeated ? ({ status: 208, ...answer } as const) : ({ status: 201, ...answer } as const);
}
