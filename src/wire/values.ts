import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Money } from "../../gen/dcm/v1/money_pb.ts";
import type { Whole } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";
import { formatAmountText } from "../domain/money.ts";

type Jwk = components["schemas"]["Jwk"];

/** The last second of the year 9999, the maximum of a Timestamp. Larger numbers of seconds are really milliseconds. */
export const MAX_UNIX_SECONDS = 253_402_300_799;

// From database rows to messages of the contract.

export const money = (amountMinor: number, currency: string) => ({ amountMinor: BigInt(amountMinor), currency });

export const instantOrUnset = (date: Date | null) => (date === null ? undefined : timestampFromDate(date));

// From messages of the contract to documented JSON.

/** Minor units as text with exactly two decimals. */
export const amountText: (amountMinor: bigint) => string = formatAmountText;

/** An amount of money, from a message or from columns beside one. */
export type Amount = Pick<Money, "amountMinor" | "currency">;

/** Minor units as a JSON number: parsed once from text, so that it prints as the same decimal. */
export function amountNumber(money: Amount | undefined): number {
  return Number(amountText(money?.amountMinor ?? 0n));
}

export function isoText(timestamp: Timestamp | undefined): string {
  return timestampDate(required(timestamp)).toISOString();
}

export function unixSeconds(timestamp: Timestamp | undefined): number {
  return Number(required(timestamp).seconds);
}

/** The core always sets it; that it is missing would be a fault of ours. */
function required(timestamp: Timestamp | undefined): Timestamp {
  if (!timestamp) throw new Error("an instant is missing in the core's answer");
  return timestamp;
}

const members = {
  alg: true,
  e: true,
  n: true,
  crv: true,
  x: true,
  y: true,
  kid: true,
  kty: true,
  use: true,
} as const satisfies Record<keyof Jwk, true>;
const memberNames = Object.keys(members) as (keyof Jwk)[];

/** A registered key as it is shown: its public members only, with `alg` or without. */
export function publicJwk(text: string, { alg = true }: { alg?: boolean } = {}): Whole<Jwk> | undefined {
  if (text === "") return undefined;
  const given = JSON.parse(text) as Record<string, unknown>;
  const shown = memberNames.filter((name) => given[name] !== undefined && (alg || name !== "alg"));
  return Object.fromEntries(shown.map((name) => [name, given[name]])) as Whole<Jwk>;
}
