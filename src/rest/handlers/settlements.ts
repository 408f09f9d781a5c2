import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Register, RegisterRole } from "../../../gen/dcm/v1/settlement_pb.ts";
import type { GetRegisterRequestSchema, GetRegisterResponse } from "../../../gen/dcm/v1/settlement_service_pb.ts";
import { limits } from "../../../gen/rest/limits.ts";
import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { continuationHeader } from "../../wire/metadata.ts";
import { documentedStatuses, registerAnswer, registerPaymentAnswer } from "../../wire/register.ts";
import { asParty, type RequestContext } from "../context.ts";
import { timestampOfQuery } from "../queryTime.ts";

type SettlementHandlers = Pick<
  Handlers<RequestContext>,
  | "listGrossSettlements"
  | "getGrossSettlement"
  | "payGrossSettlement"
  | "confirmGrossSettlement"
  | "confirmInternalGrossSettlement"
>;

const roles = { Debtor: RegisterRole.DEBTOR, All: RegisterRole.ALL } as const;

/**
 * The payments that are read at a time for a whole register. A page is written without a pause and blocks the event loop: a
 * millisecond.
 */
const PAGE_SIZE = 25;
/** A register of more payments is streamed; 500 are about 250 KB of the answer. */
const MOST_WHOLE = 500;

export const settlementHandlers: SettlementHandlers = {
  async listGrossSettlements({ query }, context) {
    const { registers, totalCount } = await context.deps.clients.settlements.listRegisters(
      {
        role: roles[query.role ?? "Debtor"],
        ...(query.from === undefined ? {} : { from: timestampOfQuery(query.from, "from") }),
        ...(query.to === undefined ? {} : { to: timestampOfQuery(query.to, "to") }),
        ...(query.updated_from === undefined
          ? {}
          : { updatedFrom: timestampOfQuery(query.updated_from, "updated_from") }),
        statuses: query.status === undefined ? [] : [documentedStatuses[query.status]],
        offset: query.offset ?? 0,
        limit: query.limit ?? limits.registersPageDefault,
      },
      asParty(context),
    );
    const headers = { "X-Total-Count": Number(totalCount) };
    return { status: 200, type: "application/json", headers, body: registers.map(registerAnswer) };
  },

  async getGrossSettlement({ path, query }, context) {
    const isPage = query.payments_limit !== undefined || query.payments_after !== undefined;
    const request = {
      registerId: path.register_id,
      paymentsLimit: query.payments_limit ?? (isPage ? MOST_WHOLE : PAGE_SIZE),
      paymentsAfter: query.payments_after ?? "",
    };
    const first = await context.deps.clients.settlements.getRegister(request, asParty(context));
    const { register } = first;
    if (!register) throw new Error("the core answered no register");
    const head = registerAnswer(register);
    if (!isPage && register.paymentCount > MOST_WHOLE) {
      const pages = (signal: AbortSignal) => paymentPages(context, request, first, register, signal);
      return {
        status: 200,
        type: "application/json",
        stream: { head, list: "payments", pages, reader: path.counterparty_guid.toLowerCase() },
      };
    }
    const payments = paymentsOf(first, register);
    if (!isPage && first.nextPaymentsAfter !== "") {
      const others = { ...request, paymentsLimit: MOST_WHOLE, paymentsAfter: first.nextPaymentsAfter };
      const rest = await context.deps.clients.settlements.getRegister(others, asParty(context));
      if (rest.nextPaymentsAfter !== "") throw new Error(`register ${register.id} has more payments than it counts`);
      payments.push(...paymentsOf(rest, register));
    }
    const body: Whole<components["schemas"]["RegisterWithPayments"]> = { ...head, payments };
    return { status: 200, type: "application/json", body };
  },

  async payGrossSettlement({ path }, context) {
    const request = { registerId: path.register_id, body: context.body };
    const { repeated } = await context.deps.clients.settlements.payRegister(request, asParty(context));
    return accepted(repeated);
  },

  async confirmGrossSettlement({ path }, context) {
    const request = { registerId: path.register_id, body: context.body };
    const { repeated } = await context.deps.clients.settlements.confirmRegister(request, asParty(context));
    return accepted(repeated);
  },

  async confirmInternalGrossSettlement({ path }, context) {
    const request = { registerId: path.register_id };
    const { repeated } = await context.deps.clients.settlements.confirmInternalRegister(request, asParty(context));
    return accepted(repeated);
  },
};

/** The payments never change, so pages that are read one after the other are consistent. */
async function* paymentPages(
  context: RequestContext,
  request: MessageInitShape<typeof GetRegisterRequestSchema>,
  first: GetRegisterResponse,
  register: Register,
  signal: AbortSignal,
) {
  for (let page = first; ; ) {
    yield paymentsOf(page, register);
    if (page.nextPaymentsAfter === "") return;
    const further = { ...request, paymentsAfter: page.nextPaymentsAfter };
    const options = { ...goingOn(context, first), signal };
    page = await context.deps.clients.settlements.getRegister(further, options);
  }
}

/** Metadata for the further pages: a slow reader's token may become too old before the last one, which the continuation allows. */
function goingOn(context: RequestContext, { continuation }: GetRegisterResponse) {
  const options = asParty(context);
  return { ...options, headers: { ...options.headers, [continuationHeader]: continuation } };
}

const paymentsOf = ({ payments }: GetRegisterResponse, register: Register) =>
  payments.map((payment) => registerPaymentAnswer(payment, register));

function accepted(repeated: boolean) {
  const body: Whole<components["schemas"]["SettlementAccepted"]> = { created: "true" };
  const answer = { type: "application/json", body } as const;
  return repeated ? ({ status: 208, ...answer } as const) : ({ status: 201, ...answer } as const);
}
