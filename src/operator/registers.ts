import { create, toJson } from "@bufbuild/protobuf";
import { type Register, type RegisterAct, type RegisterPayment, RegisterRole } from "../../gen/dcm/v1/settlement_pb.ts";
import {
  CloseRegistersResponseSchema,
  ListRegisterActsResponseSchema,
  ListRegistersResponseSchema,
  ReopenRegisterResponseSchema,
} from "../../gen/dcm/v1/settlement_service_pb.ts";
import { printable, WrongCall } from "../commandLine.ts";
import { formatAmountText } from "../domain/money.ts";
import { closingTimeoutMs } from "../rpc/clients.ts";
import { nameOf, registerActKinds, registerStatuses } from "../wire/enums.ts";
import type { Answer, Call } from "./action.ts";
import { writeTo } from "./output.ts";
import { rowsOf } from "./pages.ts";
import { type PaymentPages, registerCsv, writeRegisterFile } from "./registerFile.ts";
import { counted, fields, moneyText, table, when } from "./table.ts";
import { guidIn, instantOf, namedOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const roles = { debtor: RegisterRole.DEBTOR, all: RegisterRole.ALL } as const;

/** The most payments of one page of the core. */
const paymentsAtOnce = 2_000;

const statusOf = (register: Register) => nameOf(registerStatuses, register.status) ?? "unknown";

function registerTable(registers: readonly Register[]): string[] {
  const rows = registers.map((register) => [
    register.id,
    register.day,
    register.debtorAgent?.bic ?? "",
    register.creditorAgent?.bic ?? "",
    moneyText(register.totalAmount),
    String(register.paymentCount),
    statusOf(register),
  ]);
  return table(["ID", "DAY", "DEBTOR", "CREDITOR", "TOTAL", "PAYMENTS", "STATUS"], rows);
}

export async function close(call: Call): Promise<Answer> {
  const day = call.positionals[0] ?? "";
  if (!/^\d{4}-\d\d-\d\d$/.test(day)) throw new WrongCall(`DAY ${day} is not a Kyiv calendar day like 2026-01-31`);
  const wish = { day, allowOpenDay: call.isOn("allow-open-day") };
  const closing = call.clients.settlements.closeRegisters(wish, { timeoutMs: closingTimeoutMs });
  const answer = await call.patiently(`The closing of ${day}`, closing, "It goes on even if this command is ended.");
  return {
    json: toJson(CloseRegistersResponseSchema, answer, json),
    lines:
      answer.registers.length === 0
        ? [`${day} has nothing that is not in a register already.`]
        : [`${counted(answer.registers.length, "register")} made.`, "", ...registerTable(answer.registers)],
  };
}

export async function list(call: Call): Promise<Answer> {
  const [role = RegisterRole.ALL] = namedOf(call, "role", roles);
  const from = instantOf(call, "since");
  const to = instantOf(call, "until");
  const updatedFrom = instantOf(call, "updated-since");
  const filter = {
    bankGuid: guidIn(call.positionals[0] ?? "", "BANK_GUID"),
    role,
    ...(from && { from }),
    ...(to && { to }),
    statuses: namedOf(call, "status", registerStatuses),
    ...(updatedFrom && { updatedFrom }),
  };
  let totalCount = 0n;
  const { rows: registers } = await rowsOf(call, async (page) => {
    const answer = await call.clients.settlements.listRegisters({ ...filter, ...page });
    if (page.pageToken === "") totalCount = answer.totalCount;
    return { rows: answer.registers, nextPageToken: answer.nextPageToken };
  });
  const isAll = totalCount <= registers.length;
  const inAll = `${counted(Number(totalCount), "register")} in all${isAll ? "" : `; the newest ${registers.length} are shown`}.`;
  return {
    json: toJson(ListRegistersResponseSchema, create(ListRegistersResponseSchema, { registers, totalCount }), json),
    lines: registers.length === 0 ? ["No register matches."] : [...registerTable(registers), inAll],
  };
}

const textIn = (call: Call) => call.positionals[0] ?? "";

function registerLines(register: Register): string[] {
  return fields([
    ["id", register.id],
    ["day", register.day],
    ["adjusts day", register.adjustsDay],
    ["debtor", `${register.debtorAgent?.bic} ${register.debtorAgent?.name}`],
    ["creditor", register.creditorAgent ? `${register.creditorAgent.bic} ${register.creditorAgent.name}` : ""],
    ["creditor code", register.creditorCode],
    ["charging account", register.chargingAccount],
    ["purpose", register.purpose],
    ["payments", String(register.paymentCount)],
    ["total", moneyText(register.totalAmount)],
    ["fee", formatAmountText(register.totalFeeMinor)],
    ["to pay", formatAmountText((register.totalAmount?.amountMinor ?? 0n) - register.totalFeeMinor)],
    ["status", statusOf(register)],
    ["created", when(register.createdAt)],
    ["updated", when(register.updatedAt)],
  ]);
}

function actTable(acts: readonly RegisterAct[]): string[] {
  const rows = acts.map((act) => [
    String(act.number),
    when(act.at),
    nameOf(registerActKinds, act.kind) ?? "unknown",
    act.actor,
    act.payment?.externalId ?? "",
    moneyText(act.payment?.amount),
    act.paymentStatus,
    act.note,
  ]);
  return table(["ACT", "AT", "KIND", "ACTOR", "PAYMENT ID", "AMOUNT", "STATUS", "NOTE"], rows);
}

async function registerAndActs(call: Call) {
  const answer = await call.clients.settlements.listRegisterActs({ registerId: textIn(call) });
  if (answer.register === undefined) throw new Error("the core answered without a register");
  return { answer, register: answer.register };
}

/** A register with all pages of its acts. */
async function registerAndAllActs(call: Call) {
  const found = await registerAndActs(call);
  const { answer } = found;
  while (answer.nextPageToken !== "") {
    const { nextPageToken: pageToken } = answer;
    const next = await call.clients.settlements.listRegisterActs({ registerId: textIn(call), pageToken });
    answer.acts.push(...next.acts);
    answer.nextPageToken = next.nextPageToken;
  }
  const { register, acts } = answer;
  return {
    register: found.register,
    answer: create(ListRegisterActsResponseSchema, { ...(register && { register }), acts }),
  };
}

export async function show(call: Call): Promise<Answer> {
  const { answer, register } = await registerAndAllActs(call);
  const lines = [...registerLines(register), "", ...actTable(answer.acts)];
  return {
    json: toJson(ListRegisterActsResponseSchema, answer, json),
    lines: call.isOn("payments") ? withPayments(lines, paymentPages(call, register)) : lines,
  };
}

/** The payments of a register, page by page; one page is in memory. */
async function* paymentPages(call: Call, { id: registerId }: Register): AsyncGenerator<RegisterPayment[]> {
  const wanted = { registerId, pageSize: paymentsAtOnce };
  let pageToken = "";
  do {
    const page = await call.clients.settlements.getRegister({ ...wanted, pageToken });
    yield page.payments;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** Each page is a table of its own, because the width of the columns is known only per page. */
async function* withPayments(lines: readonly string[], pages: PaymentPages): AsyncGenerator<string> {
  yield* lines;
  for await (const payments of pages) {
    const rows = payments.map((payment) => [
      payment.paymentMessageGuid,
      payment.externalId,
      moneyText(payment.amount),
      formatAmountText(payment.feeMinor),
      when(payment.receivedAt),
    ]);
    if (rows.length > 0) yield* ["", ...table(["PAYMENT", "EXTERNAL ID", "AMOUNT", "FEE", "RECEIVED"], rows)];
  }
}

export async function exportRegister(call: Call): Promise<Answer> {
  const { register } = await registerAndActs(call);
  const pages = paymentPages(call, register);
  if (call.isOn("stdout")) {
    await writeTo(call.output, registerCsv(register, pages));
    return { json: {}, lines: [] };
  }
  const file = await writeRegisterFile(register, pages, call.text("dir") ?? ".");
  return {
    json: { file, payments: register.paymentCount },
    lines: [`${printable(file)} has ${counted(register.paymentCount, "payment")}.`],
  };
}

export async function reopen(call: Call): Promise<Answer> {
  const note = call.text("note") ?? "";
  const answer = await call.clients.settlements.reopenRegister({ registerId: textIn(call), note });
  if (answer.register === undefined) throw new Error("the core answered without a register");
  return {
    json: toJson(ReopenRegisterResponseSchema, answer, json),
    lines: [`The register is ${statusOf(answer.register)} again.`],
  };
}
