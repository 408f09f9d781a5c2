import { toJson } from "@bufbuild/protobuf";
import { type Register, RegisterRole } from "../../gen/dcm/v1/settlement_pb.ts";
import {
  CloseRegistersResponseSchema,
  GetRegisterResponseSchema,
  ListRegistersResponseSchema,
} from "../../gen/dcm/v1/settlement_service_pb.ts";
import { formatAmountText } from "../domain/money.ts";
import { closingTimeoutMs } from "../rpc/clients.ts";
import { nameOf, registerStatuses } from "../rpc/enums.ts";
import { type Action, type Answer, type Call, WrongCall } from "./action.ts";
import { counted, fields, table, when } from "./table.ts";
import { countOf, guidIn, instantOf, namedOf, TIME_HELP } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const roles = { debtor: RegisterRole.DEBTOR, all: RegisterRole.ALL } as const;

const amount = (register: Register) =>
  `${formatAmountText(register.totalAmount?.amountMinor ?? 0n)} ${register.totalAmount?.currency ?? ""}`;
const statusOf = (register: Register) => nameOf(registerStatuses, register.status) ?? "unknown";

function registerTable(registers: readonly Register[]): string[] {
  const rows = registers.map((register) => [
    register.id,
    register.day,
    register.debtorAgent?.bic ?? "",
    register.creditorAgent?.bic ?? "",
    amount(register),
    String(register.paymentCount),
    statusOf(register),
  ]);
  return table(["ID", "DAY", "DEBTOR", "CREDITOR", "TOTAL", "PAYMENTS", "STATUS"], rows);
}

async function close(call: Call): Promise<Answer> {
  const day = call.positionals[0] ?? "";
  if (!/^\d{4}-\d\d-\d\d$/.test(day)) throw new WrongCall(`DAY ${day} is not a Kyiv calendar day like 2026-01-31`);
  const wish = { day, allowOpenDay: call.isOn("allow-open-day") };
  const closing = call.clients.settlements.closeRegisters(wish, { timeoutMs: closingTimeoutMs });
  const answer = await call.patiently(`The closing of ${day}`, closing);
  return {
    json: toJson(CloseRegistersResponseSchema, answer, json),
    lines:
      answer.registers.length === 0
        ? [`${day} has nothing that is not in a register already.`]
        : [`${counted(answer.registers.length, "register")} made.`, "", ...registerTable(answer.registers)],
  };
}

async function list(call: Call): Promise<Answer> {
  const [role = RegisterRole.ALL] = namedOf(call, "role", roles);
  const from = instantOf(call, "since");
  const to = instantOf(call, "until");
  const answer = await call.clients.settlements.listRegisters({
    callerGuid: guidIn(call.positionals[0] ?? "", "BANK_GUID"),
    role,
    ...(from && { from }),
    ...(to && { to }),
    limit: countOf(call, "limit", 50, 500),
  });
  return {
    json: toJson(ListRegistersResponseSchema, answer, json),
    lines: answer.registers.length === 0 ? ["No register matches."] : registerTable(answer.registers),
  };
}

async function show(call: Call): Promise<Answer> {
  const [bank = "", registerId = ""] = call.positionals;
  const callerGuid = guidIn(bank, "BANK_GUID");
  const answer = await call.clients.settlements.getRegister({ callerGuid, registerId });
  const { register, payments } = answer;
  if (register === undefined) throw new Error("the core answered without a register");
  const rows = payments.map((payment) => [
    payment.paymentMessageGuid,
    payment.externalId,
    formatAmountText(payment.amount?.amountMinor ?? 0n),
    formatAmountText(payment.feeMinor),
    when(payment.receivedAt),
  ]);
  return {
    json: toJson(GetRegisterResponseSchema, answer, json),
    lines: [
      ...fields([
        ["id", register.id],
        ["day", register.day],
        ["debtor", `${register.debtorAgent?.bic} ${register.debtorAgent?.name}`],
        ["creditor", `${register.creditorAgent?.bic} ${register.creditorAgent?.name}`.trim()],
        ["total", amount(register)],
        ["fee", formatAmountText(register.totalFeeMinor)],
        ["status", statusOf(register)],
        ["created", when(register.createdAt)],
      ]),
      "",
      ...table(["PAYMENT", "EXTERNAL ID", "AMOUNT", "FEE", "RECEIVED"], rows),
    ],
  };
}

export const registerActions = {
  close: {
    positionals: ["DAY"],
    options: {
      "allow-open-day": {
        type: "boolean",
        value: "",
        help: "Also a day that is not over; what comes later gets further registers.",
      },
    },
    help: "Collect the successful payments of a Kyiv day into registers; may take minutes. Safe to repeat.",
    run: close,
  },
  list: {
    positionals: ["BANK_GUID"],
    options: {
      role: {
        type: "string",
        value: "ROLE",
        help: "debtor: what the bank has to pay; all: either side. Default: all.",
      },
      since: { type: "string", value: "TIME", help: `Made since: ${TIME_HELP}. Default: the last seven days.` },
      until: { type: "string", value: "TIME", help: "Made before." },
      limit: { type: "string", value: "N", help: "At most so many, up to 500. Default: 50." },
    },
    help: "List the registers of a bank, newest first.",
    run: list,
  },
  show: {
    positionals: ["BANK_GUID", "REGISTER_ID"],
    options: {},
    help: "Show a register of a bank with its payments.",
    run: show,
  },
} as const satisfies Record<string, Action>;
