import { createHash } from "node:crypto";
import { clearField, clone, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { limits } from "../../gen/rest/limits.ts";
import { isGuid } from "../core/guid.ts";
import type { Participant } from "../domain/participant.ts";
import { invalidRequest } from "./errors.ts";

// Keyset pagination for every list: `page_size`, `page_token`, `next_page_token`. A token carries the key of the last row, from
// which an index finds the next page, so the cost does not grow with the number of pages before.

/** Whether these can be the key of a row of the list; tokens come from outside and are not trusted. */
type KeyCheck = (parts: readonly string[]) => boolean;

const isText = (text = "") => text !== "" && !text.includes("\0") && text.isWellFormed();
const isNumber = (text = "") => /^\d{1,15}$/.test(text);

export const keys = {
  guid: (parts) => parts.length === 1 && isGuid(parts[0] ?? ""),
  number: (parts) => parts.length === 1 && isNumber(parts[0]),
  text: (parts) => parts.length === 1 && isText(parts[0]),
  nameAndGuid: (parts) => parts.length === 2 && isText(parts[0]) && isGuid(parts[1] ?? ""),
} as const satisfies Record<string, KeyCheck>;

/** A list over RPC. */
type List<Schema extends DescMessage> = {
  schema: Schema;
  isKey: KeyCheck;
  whenZero: number;
  most?: number;
  /** Fields that choose a page too, in the way of the REST operation, so they are no part of the token's digest. */
  placeFields?: readonly (keyof Schema["field"] & string)[];
};

type PagedRequest = { pageSize: number; pageToken: string };

/** The requested page. `after`: the key of the last row of the previous page. */
export type AskedPage = {
  limit: number;
  after: readonly string[] | undefined;
  tokenOf: (key: readonly string[]) => string;
};

/** The longest page of any REST operation, so that REST needs one call per page. */
export const mostRows = Math.max(limits.registersPageMax, limits.callbacksPageMax);

/** `reader`: the bank or merchant that reads its own list; undefined for a service. */
export function askedPage<Schema extends DescMessage>(
  { schema, isKey, whenZero, most = mostRows, placeFields = [] }: List<Schema>,
  request: MessageShape<Schema> & PagedRequest,
  reader?: Participant,
): AskedPage {
  const { pageSize, pageToken } = request;
  const digest = () => digestOf(schema, request, ["pageSize", "pageToken", ...placeFields], reader);
  return {
    limit: pageSize === 0 ? whenZero : Math.min(pageSize, most),
    after: pageToken === "" ? undefined : keyIn(pageToken, digest(), isKey),
    tokenOf: (key) => Buffer.from(JSON.stringify([digest(), ...key])).toString("base64url"),
  };
}

/** The digest of the filter and the reader: a token of one list is refused in another. */
function digestOf<Schema extends DescMessage>(
  schema: Schema,
  request: MessageShape<Schema>,
  placeFields: readonly string[],
  reader: Participant | undefined,
): string {
  const asked = clone(schema, request);
  for (const name of placeFields) {
    const field = schema.field[name];
    if (field !== undefined) clearField(asked, field);
  }
  const hash = createHash("sha256").update(`${schema.typeName}\n${reader?.guid ?? ""}\n`);
  return hash
    .update(toBinary(schema, asked, { writeUnknownFields: false }))
    .digest("base64url")
    .slice(0, 22);
}

function keyIn(token: string, digest: string, isKey: KeyCheck): readonly string[] {
  const [tokenDigest, ...key] = partsOf(token);
  if (tokenDigest === undefined) throw invalidRequest("page_token", "is not a token of this list");
  if (tokenDigest !== digest)
    throw invalidRequest("page_token", "is a token of another list, or of other fields than these");
  if (!isKey(key)) throw invalidRequest("page_token", "is not a token of this list");
  return key;
}

function partsOf(token: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(parts) && parts.every((part) => typeof part === "string")) return parts;
  } catch {
    // Not a token of ours; refused below.
  }
  return [];
}

/** Lists are read with one row more than the page, which tells whether a further page exists. */
export function cutPage<Row>(rows: readonly Row[], { limit, tokenOf }: AskedPage, keyOf: (last: Row) => string[]) {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { page, nextPageToken: rows.length > limit && last !== undefined ? tokenOf(keyOf(last)) : "" };
}
