import { Routine } from "@mikro-orm/core";
import type { InferKyselyDB } from "@mikro-orm/postgresql";
import type { Selectable } from "kysely";
import { AuditEntryEntity, PlatformKeyEntity, ServiceCredentialEntity, UsedAccessTokenEntity } from "./access.ts";
import { CallbackAttemptEntity, CallbackEntity } from "./callbacks.ts";
import {
  ParticipantEntity,
  ParticipantKeyEntity,
  ParticipantLogoEntity,
  PublishedKeySetEntity,
} from "./participants.ts";
import { PaymentEvidenceEntity, PaymentMessageEntity, PaymentOrderEntity, SignedOrderEntity } from "./payments.ts";
import { ClosedDayEntity, FeeRateEntity, RegisterActEntity, SettlementRegisterEntity } from "./settlement.ts";

export const entities = [
  ParticipantEntity,
  ParticipantKeyEntity,
  ParticipantLogoEntity,
  PublishedKeySetEntity,
  PaymentOrderEntity,
  PaymentMessageEntity,
  PaymentEvidenceEntity,
  SignedOrderEntity,
  CallbackEntity,
  CallbackAttemptEntity,
  FeeRateEntity,
  SettlementRegisterEntity,
  RegisterActEntity,
  ClosedDayEntity,
  UsedAccessTokenEntity,
  ServiceCredentialEntity,
  PlatformKeyEntity,
  AuditEntryEntity,
] as const;

type Entity = (typeof entities)[number];

/** The tables and their columns, as Kysely needs them. */
export type Tables = InferKyselyDB<Entity>;

type Rows = InferKyselyDB<Entity, { columnNamingStrategy: "property" }>;

/** A row of a table with its properties' names, as `columns` selects it and `jsonRow` takes it. */
export type Row<Table extends keyof Rows> = Selectable<Rows[Table]>;

/** The column of a property, which is also its name in the documents. */
export const columnOf = (property: string) => property.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Pairs of property and column by table, in the order of the entity. Made once: `jsonRow` is on the path of every payment. */
const pairs = new Map<string, [property: string, column: string][]>(
  entities.map(({ meta }) => [
    meta.tableName,
    Object.keys(meta.properties).map((property) => [property, columnOf(property)]),
  ]),
);

const pairsOf = (table: keyof Rows) => pairs.get(table) ?? [];

const isOneOf = (property: string, names: readonly PropertyKey[]) => names.includes(property);
const pairsBut = (table: keyof Rows, but: readonly PropertyKey[]) =>
  pairsOf(table).filter(([property]) => !isOneOf(property, but));

/**
 * SQL: the columns of a table, each named as its property: `only` these, or all `but` those that a reader does not need. They are
 * listed, because a prepared statement with `*` fails as soon as the migration of a newer node adds a column.
 */
export function columns<Table extends keyof Rows>(
  table: Table,
  { of, but = [], only }: { of: string; but?: readonly (keyof Row<Table>)[]; only?: readonly (keyof Row<Table>)[] },
): string {
  const asked = pairsBut(table, but).filter(([property]) => only === undefined || isOneOf(property, only));
  return asked.map(([property, column]) => `${of}.${column} as "${property}"`).join(", ");
}

/** SQL: the columns of an insert, without those that the statement fills or that are set later. */
export function insertedColumns<Table extends keyof Rows>(
  table: Table,
  but: readonly (keyof Row<Table>)[] = [],
): string[] {
  return pairsBut(table, but).map(([, column]) => column);
}

/** A row as PostgreSQL's `json_populate_record` takes it; absent properties become null. */
export function jsonRow<Table extends keyof Rows>(table: Table, row: Partial<Row<Table>>): Record<string, unknown> {
  const given: Record<string, unknown> = row;
  const named: Record<string, unknown> = {};
  for (const [property, column] of pairsOf(table)) named[column] = given[property];
  return named;
}

/**
 * Makes a statement fail whose assumptions no longer hold, with the SQLSTATE that callers take for a lost race; they decide again.
 */
const lostRace = new Routine({
  name: "lost_race",
  type: "function",
  language: "plpgsql",
  params: { premise: { type: "text" } },
  returns: { runtimeType: "boolean", columnType: "boolean" },
  body: "begin raise exception using message = premise, errcode = 'serialization_failure'; end",
});

/** The digest of a row, or of several, for the audit trail (`core/audit.ts`). */
const auditDigest = new Routine({
  name: "audit_digest",
  type: "function",
  language: "sql",
  params: { state: { type: "anyelement" } },
  returns: { runtimeType: "Buffer", columnType: "bytea" },
  body: "select sha256(convert_to(to_jsonb(state)::text, 'UTF8'))",
});

export const routines = [lostRace, auditDigest] as const;
