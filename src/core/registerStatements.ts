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
import { markTokenUsed, tokenProblem } from "./accessTokens.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";
import { type EventRow, eventColumns, toEvent } from "./registerActs.ts";
import { notFinalRefusal, registerNotFound, registerRefusal } from "./registerRefusals.ts";
import { type RegisterRow, readRegisters, toRegister } from "./settlements.ts";
import { createTurns } from "./turns.ts";

// Acts of kind `told` do not bear on the state; and signed bodies are left out, to keep the time under the lock short.
const selectEvents = {
  name: "select_register_events",
  text: `select ${eventColumns} from register_act a where a.register_id = $1 and a.kind <> 'told' order by a.number`,
};

/** A row lock until the commit, so that nobody else can act on the register; a foreign key to it (a `told` act) does not wait. */
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

/**
 * A short lock time-out: callers of one locked register must not hold the connections that all others need. The caller tries again.
 */
const patience = { name: "", text: "set local lock_timeout = '2s'" };

/** A bank's statement about a register, with its proof. */
export type BankStatement = {
  callerGuid: string;
  /** The version of the bank whose keys verified it (optimistic locking). */
  callerVersion: number;
  registerId: string;
  /** The evidence: the signed body, or else the access token. */
  jws: string;
  accessToken: AccessToken;
};
export type PayStatement = BankStatement & { payment: SettlementPayment };
export type ConfirmStatement = PayStatement & { paymentStatus: string };

/** `repeated`: it had been stated before, and changed nothing now. */
export type Stated = { repeated: boolean };

/** States that the initiator bank has paid the register (wire-contract section 7). Idempotent, also for equal concurrent calls. */
export async function payRegister(context: CoreContext, statement: PayStatement): Promise<Stated | Refusal> {
  return paymentProblem(statement.payment) ?? handleStatement(context, "pay", statement);
}

/** States how the initiator bank's payment of the register ended. */
export async function confirmRegister(context: CoreContext, statement: ConfirmStatement): Promise<Stated | Refusal> {
  const { payment, paymentStatus } = statement;
  const problem = paymentProblem(payment);
  if (problem !== undefined) return problem;
  return handleStatement(context, confirmationOf(paymentStatus) ?? "not_final", statement);
}

/** States that an institution has settled its internal register, of which it is both banks. */
export async function confirmInternalRegister(
  context: CoreContext,
  statement: BankStatement,
): Promise<Stated | Refusal> {
  return handleStatement(context, "confirm_internal", statement);
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

/** Sets a paid register back to its first status, because its money came back; the note says why. */
export async function reopenRegister(
  context: CoreContext,
  actor: Actor,
  registerId: string,
  note: string,
): Promise<Register | Refusal> {
  const problem = textRefusal("INVALID_REQUEST", "note", note, 500);
  if (problem !== undefined) return problem;
  return withLockedRegister(context, registerId, async (sql, known) => {
    if (known === undefined) return registerNotFound();
    const outcome = registerOutcome("operator", "reopen", positionOf(known), "new");
    if ("refused" in outcome) return registerRefusal(outcome.refused, known, undefined, "new");
    const [before] = await sql<{ digest: Buffer }>(selectDigest, [registerId]);
    await addAct(sql, known, { kind: "reopened", actor: actorName(actor), note });
    await sql(insertReopening, [registerId, actorName(actor), before?.digest]);
    const [register] = await readRegisters(sql, [registerId]);
    return register === undefined ? registerNotFound() : toRegister(register);
  });
}

/** A register with the state that follows from its acts, and what a payment of it must contain. */
type Known = {
  register: RegisterRow;
  kind: ReturnType<typeof registerKind>;
  initial: RegisterStatus;
  events: RegisterEvent[];
  state: RegisterState;
  asked: RegisterContent;
};

/** Calls about one register queue here without a connection, so that however many there are, they hold one in all. */
const inTurn = createTurns();

async function withLockedRegister<Answer>(
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
  // Two concurrent statements used one payment id for two registers, or one token twice; the second try sees what won.
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

/** Handles one statement of a bank under the register's lock: decides, and stores an act if it says something new. */
async function handleStatement(
  context: CoreContext,
  call: Exclude<RegisterCall, "reopen"> | "not_final",
  statement: BankStatement & { payment?: SettlementPayment; paymentStatus?: string },
): Promise<Stated | Refusal> {
  const { callerGuid, callerVersion, registerId, jws, payment, paymentStatus } = statement;
  const token = { participantGuid: callerGuid, participantVersion: callerVersion, ...statement.accessToken };
  // Before the lock, so that a bank without a part in the register neither waits nor blocks others. Its two banks never change.
  const [register] = await readRegisters(context.db.sql, [registerId]);
  if (register === undefined || callerOf(register, callerGuid) === "stranger") return registerNotFound();
  return withLockedRegister(context, registerId, async (sql, known) => {
    const replayed = await tokenProblem(sql, token);
    if (replayed) return replayed;
    if (known === undefined) return registerNotFound();
    const caller = callerOf(known.register, callerGuid);
    const match = payment === undefined ? "new" : await matchOf(sql, callerGuid, known, payment);
    const outcome = registerOutcome(caller, call === "not_final" ? "confirm_final" : call, positionOf(known), match);
    // A status that is not final is refused as such only to a bank that may confirm the register at all.
    const mayConfirm = !("refused" in outcome) || !refusedBeforeStatus.has(outcome.refused);
    if (call === "not_final" && mayConfirm) return notFinalRefusal(paymentStatus ?? "");
    if ("refused" in outcome) return registerRefusal(outcome.refused, known, payment, match);
    if (outcome.act !== undefined) {
      await addAct(
        sql,
        known,
        { kind: outcome.act, actor: callerGuid, paymentStatus: paymentStatus ?? null, jws },
        payment,
      );
      await markTokenUsed(sql, token);
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

/** The columns of an act apart from its payment. */
type NewAct = Pick<Row<"register_act">, "kind" | "actor"> &
  Partial<Pick<Row<"register_act">, "paymentStatus" | "note" | "jws">>;

/** Adds an act, and sets the register's status to what its acts say then. */
async function addAct(sql: Sql, known: Known, act: NewAct, payment: SettlementPayment | null = null): Promise<void> {
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
