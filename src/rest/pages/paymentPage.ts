import { toString as qrCode } from "qrcode";
import { OrderStatus } from "../../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import { DeepLinkContent, type Participant } from "../../../gen/dcm/v1/participant_pb.ts";
import { orderParts } from "../../wire/order.ts";
import { amountText } from "../../wire/values.ts";
import { escaped, page } from "./html.ts";

export type PaymentPage = {
  /** The order; with signed details if one of the banks takes them in its links. */
  found: GetOrderResponse;
  banks: readonly Participant[];
  /** The order's link for phones: what the QR code holds. */
  link: string;
  isMobile: boolean;
};

/** What the payer's browser shows: the order, and a way to pay it as long as it can be paid. */
export async function paymentPage({ found, banks, link, isMobile }: PaymentPage): Promise<string> {
  const { order, merchant } = orderParts(found);
  const amount = `${amountText(order.amount?.amountMinor ?? 0n)} ${order.amount?.currency ?? ""}`;
  const state = stateSentence[order.status];
  const way = isMobile ? bankLinks(banks, found) : await qr(link);
  const content = [
    `<h1>${escaped(merchant.name)}</h1>`,
    `<p class="amount">${escaped(amount)}</p>`,
    `<p>${escaped(order.purpose)}</p>`,
    state === undefined ? way : `<p role="status">${escaped(state)}</p>`,
    returnLink(order.redirectUrl),
  ].join("\n");
  return page({ lang: "uk", title: `${amount} – ${merchant.name}`, kind: "payment", content });
}

export function notFoundPage(): string {
  const content = '<h1>Замовлення не знайдено</h1><p role="status">Перевірте посилання або зверніться до продавця.</p>';
  return page({ lang: "uk", title: "Замовлення не знайдено", kind: "payment", content });
}

/** Whether this bank's deep links contain the signed order. */
export const takesSigned = ({ deepLinkContent }: Participant) => deepLinkContent === DeepLinkContent.SIGNED_ORDER;

/** Why the order cannot be paid; no row while it can. The core has judged that by the database's clock. */
const stateSentence: { readonly [status: number]: string } = {
  [OrderStatus.SUCCESS]: "Замовлення сплачено.",
  [OrderStatus.IN_PROGRESS]: "Платіж обробляється.",
  [OrderStatus.CANCELED]: "Замовлення скасовано або строк його дії минув.",
};

async function qr(link: string): Promise<string> {
  const svg = await qrCode(link, { type: "svg", margin: 1 });
  return [
    "<p>Відскануйте QR-код застосунком свого банку або камерою телефона.</p>",
    `<div class="qr" role="img" aria-label="QR-код для оплати">${svg}</div>`,
    `<p><a href="${escaped(link)}">Оплатити на цьому пристрої</a></p>`,
  ].join("\n");
}

function bankLinks(banks: readonly Participant[], found: GetOrderResponse): string {
  const { order } = orderParts(found);
  const links = banks.map((bank) => bankLink(bank, takesSigned(bank) ? found.signedDetails : order.id));
  if (links.length === 0) return '<p role="status">Жоден банк ще не приймає оплату з телефона.</p>';
  return `<p>Оберіть свій банк.</p><ul class="banks">${links.join("")}</ul>`;
}

function bankLink(bank: Participant, content: string): string {
  // The alternative text is empty, because the bank's name stands beside the logo.
  const logo = /^https:\/\//.test(bank.logoUrl) ? `<img src="${escaped(bank.logoUrl)}" alt=""> ` : "";
  const target = escaped(bank.deepLinkPrefix + encodeURIComponent(content));
  return `<li><a href="${target}">${logo}${escaped(bank.name)}</a></li>`;
}

function returnLink(url: string): string {
  return /^https?:\/\//.test(url) ? `<p><a href="${escaped(url)}">Повернутися до продавця</a></p>` : "";
}
