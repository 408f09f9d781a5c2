// The text of gen/rest/limits.ts: every limit of the contract by its name, read from the one place where it stands.

import { type OpenapiDocument, resolved } from "./restModules.ts";

/** Where a limit stands in the document: keys and, in a list of parameters, their names. */
type Place = readonly string[];

const schema = (...steps: string[]): Place => ["components", "schemas", ...steps];
const query = (path: string, name: string, keyword: string): Place => [
  "paths",
  path,
  "get",
  "parameters",
  name,
  "schema",
  keyword,
];
const property = (name: string, field: string, keyword: string) => schema(name, "properties", field, keyword);

const registers = "/api/v1/counterparty/{counterparty_guid}/gross-settlement";
const missed = "/api/v1/counterparty/{counterparty_guid}/callbacks/missed";

/** What the document says beside a field or a parameter. What has no such place stands in its `x-dcm-limits`. */
const places: { readonly [name: string]: Place } = {
  amountMax: schema("Amount", "maximum"),
  registerTotalMax: property("GrossSettlementPaymentClaims", "amount", "maximum"),
  registersOffsetMax: query(registers, "offset", "maximum"),
  registersPageDefault: query(registers, "limit", "default"),
  registersPageMax: query(registers, "limit", "maximum"),
  registerPaymentsPageMax: query(`${registers}/{register_id}`, "payments_limit", "maximum"),
  callbacksPageDefault: query(missed, "limit", "default"),
  callbacksPageMax: query(missed, "limit", "maximum"),
  callbackTokenChars: schema("CallbackJws", "maxLength"),
  accessTokenChars: schema("CxAuthorizationToken", "maxLength"),
  accessJtiChars: property("CxAuthorizationClaims", "jti", "maxLength"),
  uidChars: property("OrderClaims", "sub", "maxLength"),
  refChars: property("OrderClaims", "ref", "maxLength"),
  purposeChars: property("OrderClaims", "prp", "maxLength"),
  orderUrlChars: property("OrderClaims", "url", "maxLength"),
  jtiChars: property("PaymentMessageClaims", "jti", "maxLength"),
  externalIdChars: property("PaymentMessageClaims", "payment_message_external_id", "maxLength"),
  nameChars: property("StatedBeneficiary", "frn", "maxLength"),
  taxCodeChars: property("StatedBeneficiary", "frc", "maxLength"),
  ciphertextChars: schema("EncryptedValue", "maxLength"),
  encryptedKeyChars: property("Encryption", "encrypted_key", "maxLength"),
  pingProofs: property("PingProof", "jwts", "maxItems"),
};

/** What stands at a place, or at what is referred to on the way, also as one of several parts (`allOf`). */
function at(document: OpenapiDocument, place: Place): unknown {
  return place.reduce<unknown>((found, step) => member(document, found, step), document);
}

function member(document: OpenapiDocument, node: unknown, name: string): unknown {
  const value = resolved<{ [name: string]: unknown; allOf?: readonly unknown[] } | readonly unknown[]>(document, node);
  if (Array.isArray(value)) {
    return value.map((item) => resolved<{ name: string }>(document, item)).find((item) => item.name === name);
  }
  const parts = (value as { allOf?: readonly unknown[] } | undefined)?.allOf ?? [];
  const own = (value as { [name: string]: unknown } | undefined)?.[name];
  return own ?? parts.map((part) => member(document, part, name)).find((found) => found !== undefined);
}

export function limitsModule(document: OpenapiDocument): string {
  const apart = Object.entries(document["x-dcm-limits"]).map(([name, { value }]) => [name, value] as const);
  const beside = Object.entries(places).map(([name, place]) => [name, at(document, place)] as const);
  const rows = [...apart, ...beside].map(([name, value]) => {
    if (typeof value !== "number") throw new Error(`the limit ${name} is not in the document`);
    return `  ${name}: ${value},`;
  });
  return `/** Every limit of the contract; the unit is the last word of a name, and what ends in Default or Max is a number of rows or an amount. */
export const limits = {
${rows.join("\n")}
} as const;

/** The form of a guid: what PostgreSQL reads as one, and nothing else that it would read, too. */
export const guidPattern = /${at(document, schema("Guid", "pattern"))}/;
`;
}
