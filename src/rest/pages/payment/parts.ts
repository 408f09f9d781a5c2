import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { GetOrderResponse } from "../../../../gen/dcm/v1/order_service_pb.ts";
import { DeepLinkContent, type Participant } from "../../../../gen/dcm/v1/participant_pb.ts";
import { type Html, html } from "../../../html.ts";
import { type OrderLinks, orderParts } from "../../../wire/order.ts";
import { shown } from "./formats.ts";
import type { Language } from "./words.ts";

/** What the payer's address asked for by name; the rest suits the browser. */
export type PageQuery = { id: string; mobile?: 0 | 1 | undefined; lang?: Language | undefined };

export type PaymentPage = {
  /** The order; with signed details if one of the banks takes them in its links. */
  found: GetOrderResponse;
  banks: readonly Participant[];
  links: OrderLinks;
  query: PageQuery;
  /** Whether banks are listed, for a payer who holds the device that pays, or a QR code is shown for another device. */
  isPhone: boolean;
  language: Language;
  now: Date;
};

/** The page's own address with something else asked for. */
export function addressWith({ id, mobile, lang }: PageQuery, change: Partial<PageQuery>): string {
  const asked = { id: id.toLowerCase(), mobile, lang, ...change };
  const given = Object.entries(asked).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return `?${new URLSearchParams(given)}`;
}

/** When the time to pay ends. */
export function expiryOf({ found }: Pick<PaymentPage, "found">): Date {
  const { expiresAt } = orderParts(found).order;
  if (!expiresAt) throw new Error("the core answered an order without its expiry");
  return timestampDate(expiresAt);
}

/** Whether this bank's deep links contain the signed order. */
export const takesSigned = ({ deepLinkContent }: Participant) => deepLinkContent === DeepLinkContent.SIGNED_ORDER;

/** A participant's logo as the platform serves it, or else the first letter of its name on a tint that stays the same. */
export function logoOf({ name, guid, logoSha256 }: Participant): Html {
  if (logoSha256 !== "") return html`<img class="mark" src="../logos/${logoSha256}" alt="" width="40" height="40">`;
  const [letter = ""] = shown(name).replace(/^[^\p{L}\p{N}]+/u, "");
  return html`<span class="mark m${Number.parseInt(guid.slice(-2), 16) % 8}" aria-hidden="true">${letter.toUpperCase()}</span>`;
}
