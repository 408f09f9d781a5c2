import { RegisterRole } from "../../../gen/dcm/v1/settlement_pb.ts";
import type { Handlers } from "../../../gen/rest/operations.ts";
import { callerOf, type RequestContext, rpcOptions } from "../context.ts";
import { registerAnswer, registerWithPaymentsAnswer } from "../translate/settlement.ts";
import { timestampOfQuery } from "../translate/time.ts";

type SettlementHandlers = Pick<Handlers<RequestContext>, "listGrossSettlements" | "getGrossSettlement">;

const roles = { Debtor: RegisterRole.DEBTOR, All: RegisterRole.ALL } as const;

export const settlementHandlers: SettlementHandlers = {
  async listGrossSettlements({ query }, context) {
    const { registers } = await context.deps.clients.settlements.listRegisters(
      {
        callerGuid: callerOf(context).bank.guid,
        role: roles[query.role ?? "Debtor"],
        ...(query.from === undefined ? {} : { from: timestampOfQuery(query.from, "from") }),
        ...(query.to === undefined ? {} : { to: timestampOfQuery(query.to, "to") }),
        offset: query.offset ?? 0,
        limit: query.limit ?? 50,
      },
      rpcOptions,
    );
    return { status: 200, type: "application/json", body: registers.map(registerAnswer) };
  },

  async getGrossSettlement({ path }, context) {
    const found = await context.deps.clients.settlements.getRegister(
      { callerGuid: callerOf(context).bank.guid, registerId: path.register_id },
      rpcOptions,
    );
    return { status: 200, type: "application/json", body: registerWithPaymentsAnswer(found) };
  },
};
