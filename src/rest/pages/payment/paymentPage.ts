import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Html, html, pageHeaders, trusted } from "../../../html.ts";
import { orderParts, orderStatus, paymentState } from "../../../wire/order.ts";
import { amountText } from "../../../wire/values.ts";
import { isFinal } from "../../orderFeed.ts";
import { actOf } from "./acts.ts";
import { countedFromMs, leftText, secondsFromMs, shown, sumText, until } from "./formats.ts";
import { icons } from "./icons.ts";
import { addressWith, expiryOf, logoOf, type PaymentPage } from "./parts.ts";
import { type Language, languages, type Words, words } from "./words.ts";

const file = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
// Without comments and indentation, which is half of it.
const style = file("payment.css")
  .replaceAll(/\/\*.*?\*\//gs, "")
  .replaceAll(/\n\s*/g, "");
const script = file("payment.js");

export const paymentPageHeaders = pageHeaders({ style, script });

/** What the payer's browser shows: what is bought, and what there is to do about it. */
export function paymentPage(page: PaymentPage): string {
  const { found, query, language, now } = page;
  const { order, merchant } = orderParts(found);
  const texts = words[language];
  const state = paymentState(found);
  const sum = sumText(language, amountText(order.amount?.amountMinor ?? 0n), order.amount?.currency ?? "");
  const shop = shown(merchant.name);
  const act = actOf[state]({ ...page, texts });
  const headline = state === "waiting" ? `${texts.toPay} ${sum}` : `${act.title} · ${sum}`;
  const id = query.id.toLowerCase();
  const main = html`<main class="ticket" id="main" data-state="${state}"${!isFinal(state) && html` data-events="order/events?id=${id}" data-status="order/status?id=${id}" data-known="${orderStatus(found).status}"`}${state === "waiting" && html` data-now="${now.getTime()}" data-expires="${expiryOf(page).getTime()}"`}>
${slip(page, texts, sum)}
${act.section}
</main>`;
  return whole({
    language,
    texts,
    title: `${headline} · ${shop}`,
    main,
    addressIn: (lang) => addressWith(query, { lang }),
  });
}

/** What is bought: it never changes while the rest of the page does. */
function slip(page: PaymentPage, texts: Words, sum: string): Html {
  const { found, isPhone } = page;
  const { order, merchant } = orderParts(found);
  const state = paymentState(found);
  const facts = [
    fact(texts.payee, html`${shown(merchant.name)}, ${texts.taxCode} ${merchant.taxCode}`),
    fact(texts.orderNumber, html`${shown(order.ref)}`),
    found.paymentMessage && fact(texts.paymentNumber, html`${found.paymentMessage.guid}`),
  ];
  return html`<section class="slip" aria-label="${texts.order}">
<p class="shop">${logoOf(merchant)}<bdi class="foreign">${shown(merchant.name)}</bdi></p>
<p class="amount${sum.length > 14 && " long"}">${sum}</p>
<p class="foreign soft">${shown(order.purpose)}</p>
${state === "waiting" && due(page, texts)}${state === "paid" && html`<span class="stamp" aria-hidden="true">${texts.paidTitle}</span>`}
<details class="facts"${!isPhone && html` open`}><summary>${texts.details}</summary><dl>${facts}</dl></details>
${state === "waiting" && !isPhone && html`<p class="live" data-script>${texts.listening}</p>`}
</section>`;
}

const fact = (name: string, value: Html) => html`<div><dt>${name}</dt><dd class="foreign">${value}</dd></div>`;

/** Until when it can be paid, which is true without a script, and what is left, which the script counts. */
function due(page: PaymentPage, texts: Words): Html {
  const { language, now } = page;
  const at = expiryOf(page);
  const left = leftText(texts, at.getTime() - now.getTime());
  return html`<p class="due" id="due"><span>${texts.payBy} <time datetime="${at.toISOString()}">${until(language, at, now)}</time> ${texts.kyiv}</span> <b id="left" role="timer" aria-live="off" data-counted-from="${countedFromMs}" data-seconds-from="${secondsFromMs}" data-hours="${texts.leftHours}" data-minutes="${texts.leftMinutes}" data-seconds="${texts.leftSeconds}" data-spoken="${texts.leftSpoken}">${left}</b></p>`;
}

/** Why there is no order to show. */
export type PageFailure = "notFound" | "malformed" | "unavailable";

const failureIcons = { notFound: icons.lens, malformed: icons.brokenLink, unavailable: icons.mark } as const;

/** A page without an order. Nothing of the address is repeated; the words differ because the cure does. */
export function failurePage(failure: PageFailure, language: Language): string {
  const texts = words[language];
  const title = texts[`${failure}Title`];
  const again = failure === "unavailable" && html`<p class="gap"><a class="button" href="">${texts.tryAgain}</a></p>`;
  const main = html`<main class="ticket alone" id="main" data-state="${failure}">
<section class="act" aria-labelledby="title">
<div class="head"><span class="sign warn">${failureIcons[failure]}</span><h1 id="title" tabindex="-1">${title}</h1></div>
<p class="lead">${texts[`${failure}Lead`]}</p>
${again}
</section>
</main>`;
  return whole({ language, texts, title, main });
}

type Frame = {
  language: Language;
  texts: Words;
  title: string;
  main: Html;
  /** The address of the same page in another language; undefined where the address is not to be repeated. */
  addressIn?: (language: Language) => string;
};

function whole({ language, texts, title, main, addressIn }: Frame): string {
  const link = (other: Language) =>
    html`<a href="${addressIn?.(other)}" lang="${other}" hreflang="${other}"${other === language && html` aria-current="true"`}>${words[other].ownName}</a>`;
  return html`<!doctype html>
<html lang="${language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<title>${title}</title><link rel="icon" href="data:,"><style>${trusted(style)}</style></head>
<body><div class="page">
<header class="top"><span class="brand">${icons.brand}DCM</span>${addressIn && html`<nav class="langs" aria-label="${texts.language}">${languages.map(link)}</nav>`}</header>
${main}
<footer class="foot">${icons.shield}<p>${texts.trust}</p></footer>
</div>
<p class="sr" id="say" role="status"></p>
<script>${trusted(script)}</script>
</body>
</html>`.markup;
}
