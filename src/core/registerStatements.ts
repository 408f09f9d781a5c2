import type { Register } from "../../gen/dcm/v1/settlement_pb.ts";
import { insertedColumns, jsonRow, type Row } from "../db/entities/entities.ts";
import { databaseFailure } from "../db/failure.ts";
import type { Sql } from "../db/pool.ts";
import type { AccessToken } from "../domain/accessToken.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import { type Refusal, type RefusalReason, refuse } from "../domain/errors.ts";
import { confirmationOf, type RegisterCall, type RegisterCaller, registerOutcome } from "../domain/registerOutcome.ts";
import {
  initialRegisterStatus,
  isCreationDate,
  type PaymentMatch,
  paymentMatch,
  type RegisterContent,
  type RegisterEvent,
  type RegisterState,
  type RegisterStatus,
  registerKind,
  registerState,
  type SettlementPayment,
} from "../domain/settlement.ts";
import { textRefusal } from "../domain/text.ts";
import { keepToken, tokenProblem } from "./accessTokens.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";
import { type EventRow, eventColumns, toEvent } from "./registerActs.ts";
import { notFinalRefusal, registerNotFound, registerRefusal } from "./registerRefusals.ts";
import { type RegisterRow, readRegisters, toRegister } from "./settlements.ts";

// Told says nothing of the state; and of what was signed nothing is read under the lock.
const selectEvents = {
  name: "select_register_events",
  text: `select ${eventColumns} from register_act a where a.register_id = $1 and a.kind <> 'told' order by a.number`,
};

/** Until the commit nobody else can act on the register; being told of it (a foreign key) does not wait. */
const lockRegister = {
  name: "lock_register",
  text: "select from settlement_register where id = $1 for no key update",
};

const selectUse = {
  name: "select_settlement_payment_use",
  text: "select from register_act where kind = 'paid' and actor = $1 and payment_external_id = $2",
};

const actColumns = insertedColumns("register_act", ["number", "at"]).join(", ");

const insertAct = {
  name: "insert_register_act",
  text: `
    insert into register_act (at, ${actColumns})
    select clock_timestamp(), ${actColumns} from json_populate_record(null::register_act, $1)`,
};

const updateStatus = {
  name: "update_register_status",
  text: "update settlement_register set status = $2, updated_at = clock_timestamp() where id = $1 and status <> $2",
};

/** A register that somebody keeps locked must not keep the connections of all others; whoever asked comes again. */
const patience = { name: "", text: "set local lock_timeout = '2s'" };

/** What a bank states about a register, with the proof of who it is. */
export type BankStatement = {
  callerGuid: string;
  /** Of the bank whose keys verified it. */
  callerVersion: number;
  registerId: string;
  /** What the bank signed: the signed body, or the access token. */
  jws: string;
  accessToken: AccessToken;
};
export type PayStatement = BankStatement & { payment: SettlementPayment };
export type ConfirmStatement = PayStatement & { paymentStatus: string };

/** `repeated`: it had been stated before. */
export type Stated = { repeated: boolean };

/** The initiator bank has paid the register (wire-contract section 7). Of equal calls at once one acts, the others repeat it. */
export async function payRegister(context: CoreContext, statement: PayStatement): Promise<Stated | Refusal> {
  return paymentProblem(statement.payment) ?? state(context, "pay", statement);
}

/** How the initiator bank's payment of the register ended. */
export async function confirmRegister(context: CoreContext, statement: ConfirmStatement): Promise<Stated | Refusal> {
  const { payment, paymentStatus } = statement;
  const problem = paymentProblem(payment);
  if (problem !== undefined) return problem;
  return state(context, confirmationOf(paymentStatus) ?? "not_final", statement);
}

/** The institution that is both banks of the register has settled it. */
export async function confirmInternalRegister(
  context: CoreContext,
  statement: BankStatement,
): Promise<Stated | Refusal> {
  return state(context, "confirm_internal", statement);
}

const selectDigest = {
  name: "select_register_digest",
  text: `select ${digestOf("r")} as digest from settlement_register r where r.id = $1`,
};

const insertReopening = {
  name: "insert_register_reopening",
  text: insertEntry({
    act: "register_reopened",
    actor: "$2",
    object: "r.id",
    digests: { before: "before.digest", after: digestOf("r") },
    from: "settlement_register r join (select $3::bytea as digest) before on r.id = $1",
  }),
};

/** The money of a paid register came back: it is what it was made as. The note says why. */
export async function reopenRegister(
  context: CoreContext,
  actor: Actor,
  registerId: string,
  note: string,
): Promise<Register | Refusal> {
  const problem = textRefusal("INVALID_REQUEST", "note", note, 500);
  if (problem !== undefined) return problem;
  return onRegister(context, registerId, async (sql, known) => {
    if (known === undefined) return registerNotFound();
    const outcome = registerOutcome("operator", "reopen", positionOf(known), "new");
    if ("refused" in outcome) return registerRefusal(outcome.refused, known, undefined, "new");
    const [before] = await sql<{ digest: Buffer }>(selectDigest, [registerId]);
    await keep(sql, known, { kind: "reopened", actor: actorName(actor), note });
    await sql(insertReopening, [registerId, actorName(actor), before?.digest]);
    const [register] = await readRegisters(sql, [registerId]);
    return register === undefined ? registerNotFound() : toRegister(register);
  });
}

/** A register as its acts say, and what a payment of it has to state. */
type Known = {
  register: RegisterRow;
  kind: ReturnType<typeof registerKind>;
  initial: RegisterStatus;
  events: RegisterEvent[];
  state: RegisterState;
  asked: RegisterContent;
};

/** The last one of each register that is being acted on in this process. */
const turns = new Map<string, Promise<unknown>>();

/** Whoever waits for a register waits here, without a connection: however many want the same one, they hold one in all. */
function inTurn<Answer>(id: string, work: () => Promise<Answer>): Promise<Answer> {
  const previous = turns.get(id) ?? Promise.resolve();
  const mine = previous.then(work, work);
  turns.set(id, mine);
  const forget = () => {
    if (turns.get(id) === mine) turns.delete(id);
  };
  mine.then(forget, forget);
  return mine;
}

async function onRegister<Answer>(
  context: CoreContext,
  id: string,
  work: (sql: Sql, known: Known | undefined) => Promise<Answer>,
): Promise<Answer> {
  const attempt = () =>
    context.db.transaction(async (sql) => {
      await sql(patience);
      await sql(lockRegister, [id]);
      const [register] = await readRegisters(sql, [id]);
      return work(sql, register && (await knownOf(sql, register)));
    });
  // One id for two registers, or one token for two requests, at the same moment: the second try sees what the first one lost to.
  return inTurn(id, () =>
    attempt().catch((error: unknown) => {
      if (databaseFailure(error) !== "lost_race") throw error;
      return attempt();
    }),
  );
}

async function knownOf(sql: Sql, register: RegisterRow): Promise<Known> {
  const events = (await sql<EventRow>(selectEvents, [register.id])).map(toEvent);
  const toPayMinor = register.totalAmountMinor - register.totalFeeMinor;
  const kind = registerKind(register.debtorAgentGuid, register.creditorAgentGuid);
  const initial = initialRegisterStatus(kind, toPayMinor);
  const { currency, purpose, chargingAccount } = register;
  const asked = { creditorIban: chargingAccount, amountMinor: toPayMinor, currency, purpose };
  return { register, kind, initial, events, state: registerState(initial, events), asked };
}

const positionOf = ({ kind, initial, state: { status } }: Known) => ({ kind, initial, status });

function callerOf({ debtorAgentGuid, creditorAgentGuid }: RegisterRow, guid: string): RegisterCaller {
  if (debtorAgentGuid === guid) return "initiator";
  return creditorAgentGuid === guid ? "recipient" : "stranger";
}

/** One statement of a bank: judged and, where it says something new, kept, while nobody else acts on the register. */
async function state(
  context: CoreContext,
  call: Exclude<RegisterCall, "reopen"> | "not_final",
  statement: BankStatement & { payment?: SettlementPayment; paymentStatus?: string },
): Promise<Stated | Refusal> {
  const { callerGuid, callerVersion, registerId, jws, payment, paymentStatus } = statement;
  const token = { participantGuid: callerGuid, participantVersion: callerVersion, ...statement.accessToken };
  // Whom the register does not concern waits for nobody's lock, and keeps nobody waiting. Its sides never change.
  const [register] = await readRegisters(context.db.sql, [registerId]);
  if (register === undefined || callerOf(register, callerGuid) === "stranger") return registerNotFound();
  return onRegister(context, registerId, async (sql, known) => {
    const replayed = await tokenProblem(sql, token);
    if (replayed) return replayed;
    if (known === undefined) return registerNotFound();
    const caller = callerOf(known.register, callerGuid);
    const match = payment === undefined ? "new" : await matchOf(sql, callerGuid, known, payment);
    const outcome = registerOutcome(caller, call === "not_final" ? "confirm_final" : call, positionOf(known), match);
    // A status that is not final is told to whoever may confirm the register at all.
    const mayConfirm = !("refused" in outcome) || !refusedBeforeStatus.has(outcome.refused);
    if (call === "not_final" && mayConfirm) return notFinalRefusal(paymentStatus ?? "");
    if ("refused" in outcome) return registerRefusal(outcome.refused, known, payment, match);
    if (outcome.act !== undefined) {
      await keep(
        sql,
        known,
        { kind: outcome.act, actor: callerGuid, paymentStatus: paymentStatus ?? null, jws },
        payment,
      );
      await keepToken(sql, token);
    }
    return { repeated: outcome.repeated ?? false };
  });
}

const refusedBeforeStatus: ReadonlySet<RefusalReason> = new Set([
  "REGISTER_NOT_FOUND",
  "FORBIDDEN",
  "REGISTER_EMPTY",
  "REGISTER_INTERNAL",
]);

async function matchOf(sql: Sql, callerGuid: string, known: Known, payment: SettlementPayment): Promise<PaymentMatch> {
  const uses = await sql(selectUse, [callerGuid, payment.externalId]);
  return paymentMatch(known.asked, known.state, payment, uses.length > 0);
}

/** What is kept of an act beside its payment. */
type NewAct = Pick<Row<"register_act">, "kind" | "actor"> &
  Partial<Pick<Row<"register_act">, "paymentStatus" | "note" | "jws">>;

/** Adds the act, and makes the register's status what its acts say now. */
async function keep(sql: Sql, known: Known, act: NewAct, payment: SettlementPayment | null = null): Promise<void> {
  const registerId = known.register.id;
  const row = { ...act, ...payment, registerId, paymentExternalId: payment?.externalId ?? null };
  await sql(insertAct, [JSON.stringify(jsonRow("register_act", row))]);
  const { status } = registerState(known.initial, [...known.events, { kind: act.kind, payment }]);
  await sql(updateStatus, [registerId, status]);
}

function paymentProblem(payment: SettlementPayment): Refusal | undefined {
  const { externalId, amountMinor, creationDate } = payment;
  const problem = textRefusal("INVALID_REQUEST", "payment_message_external_id", externalId, 64);
  if (problem !== undefined) return problem;
  if (!Number.isSafeInteger(amountMinor) || amountMinor <= 0) {
    return refuse("INVALID_REQUEST", "amount must be above 0, with at most two decimals", { field: "amount" });
  }
  if (!isCreationDate(creationDate)) {
    return refuse("INVALID_REQUEST", "creation_date is not a date or an instant in ISO 8601", {
      field: "creation_date",
    });
  }
  return undefined;
}
