import { timestampMs } from "@bufbuild/protobuf/wkt";
import { toString as qrCode } from "qrcode";
import { type Order, OrderStatus } from "../../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import { DeepLinkContent, type Participant } from "../../../gen/dcm/v1/participant_pb.ts";
import { complete } from "../../wire/order.ts";
import { amountText } from "../../wire/values.ts";
import { escaped, page } from "./html.ts";

export type PaymentPage = {
  /** With its signed details where one of the banks takes them. */
  found: GetOrderResponse;
  now: Date;
  banks: readonly Participant[];
  /** The order's link for phones: what the QR code holds. */
  link: string;
  isMobile: boolean;
};

/** What the payer's browser shows: the order, and a way to pay it as long as it can be paid. */
export async function paymentPage({ found, now, banks, link, isMobile }: PaymentPage): Promise<string> {
  const { order, merchant } = complete(found);
  const amount = `${amountText(order.amount?.amountMinor ?? 0n)} ${order.amount?.currency ?? ""}`;
  // The core signs nothing for an order that is over, and its clock is the one that counts.
  const isUnsigned = isMobile && banks.some(takesSigned) && found.signedDetails === "";
  const state = stateSentence(order, now) ?? (isUnsigned ? isOverSentence : undefined);
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

/** Whether the links to a bank hold what the platform signs of the order. */
export const takesSigned = ({ deepLinkContent }: Participant) => deepLinkContent === DeepLinkContent.SIGNED_ORDER;

const isOverSentence = "Замовлення скасовано або строк його дії минув.";

/** Why the order cannot be paid any more; undefined while it can. */
function stateSentence(order: Order, now: Date): string | undefined {
  if (order.status === OrderStatus.SUCCESS) return "Замовлення сплачено.";
  if (order.status === OrderStatus.IN_PROGRESS) return "Платіж обробляється.";
  const isOver = order.expiresAt !== undefined && timestampMs(order.expiresAt) <= now.getTime();
  if (order.status === OrderStatus.CANCELED || isOver) return isOverSentence;
  return undefined;
}

async function qr(link: string): Promise<string> {
  const svg = await qrCode(link, { type: "svg", margin: 1 });
  return [
    "<p>Відскануйте QR-код застосунком свого банку або камерою телефона.</p>",
    `<div class="qr" role="img" aria-label="QR-код для оплати">${svg}</div>`,
    `<p><a href="${escaped(link)}">Оплатити на цьому пристрої</a></p>`,
  ].join("\n");
}

function bankLinks(banks: readonly Participant[], found: GetOrderResponse): string {
  const links = banks.map((bank) => bankLink(bank, takesSigned(bank) ? found.signedDetails : (found.order?.id ?? "")));
  if (links.length === 0) return '<p role="status">Жоден банк ще не приймає оплату з телефона.</p>';
  return `<p>Оберіть свій банк.</p><ul class="banks">${links.join("")}</ul>`;
}

function bankLink(bank: Participant, content: string): string {
  // The name stands beside the logo, so the logo itself says nothing new to a screen reader.
  const logo = /^https:\/\//.test(bank.logoUrl) ? `<img src="${escaped(bank.logoUrl)}" alt=""> ` : "";
  const target = escaped(bank.deepLinkPrefix + encodeURIComponent(content));
  return `<li><a href="${target}">${logo}${escaped(bank.name)}</a></li>`;
}

function returnLink(url: string): string {
  return /^https?:\/\//.test(url) ? `<p><a href="${escaped(url)}">Повернутися до продавця</a></p>` : "";
}
