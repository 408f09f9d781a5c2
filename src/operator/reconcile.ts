import { toJson } from "@bufbuild/protobuf";
import { ReconcileRegistersResponseSchema } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { closingTimeoutMs } from "../rpc/clients.ts";
import type { Answer, Call } from "./action.ts";
import { counted, table } from "./table.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

/** The most discrepancies that the core reports. */
const mostDiscrepancies = 100;

export async function reconcile(call: Call): Promise<Answer> {
  const lastDays = Number(call.text("days"));
  // All payments of those days are added up, which may take as long as closing them did.
  const work = call.clients.settlements.reconcileRegisters({ lastDays }, { timeoutMs: closingTimeoutMs });
  const answer = await call.patiently("The reconciliation", work);
  const { discrepancies } = answer;
  const rows = discrepancies.map(({ id, problem }) => [id, problem]);
  const more =
    discrepancies.length < mostDiscrepancies ? [] : [`There may be more: at most ${mostDiscrepancies} are told.`];
  return {
    json: toJson(ReconcileRegistersResponseSchema, answer, json),
    lines:
      discrepancies.length === 0
        ? [`Registers, payments and acts of the last ${counted(lastDays, "day")} add up.`]
        : [...table(["REGISTER OR PAYMENT", "PROBLEM"], rows), ...more],
    isAlarming: discrepancies.length > 0,
  };
}
