import { toJson } from "@bufbuild/protobuf";
import { ReconcileRegistersResponseSchema } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { closingTimeoutMs } from "../rpc/clients.ts";
import type { Action, Answer, Call } from "./action.ts";
import { counted, table } from "./table.ts";
import { countOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const defaultDays = 7;
/** What the core looks back at most; it names at most so many. */
const mostDays = 3_660;
const mostDiscrepancies = 100;

async function reconcile(call: Call): Promise<Answer> {
  const lastDays = countOf(call, "days", defaultDays, mostDays);
  // All payments of those days are added up, so it may take about as long as closing them did.
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

export const reconcileAction = {
  positionals: [],
  options: {
    days: {
      type: "string",
      value: "N",
      help: `Registers of so many days before today, up to ${mostDays}. Default: ${defaultDays}.`,
    },
  },
  help:
    "Say what does not add up, and end with 1 if anything does not: payments in no register, registers whose totals, " +
    "payments and acts differ.",
  run: reconcile,
} as const satisfies Action;
