import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Participant } from "../../../../gen/dcm/v1/participant_pb.ts";
import type { PaymentState } from "../../../domain/order.ts";
import { type Html, html } from "../../../html.ts";
import { orderParts } from "../../../wire/order.ts";
import { bankSearchText } from "./bankSearch.ts";
import { happened, shown, until } from "./formats.ts";
import { icons } from "./icons.ts";
import { addressWith, expiryOf, logoOf, type PaymentPage, takesSigned } from "./parts.ts";
import { qrCode } from "./qrCode.ts";
import { filled, rejectedBecause, type Words } from "./words.ts";

// What there is to do about an order, by its state. A page has one of them.

type Asked = PaymentPage & { texts: Words };
export type Act = { title: string; section: Html };

export const actOf = {
  waiting: (asked) => (asked.isPhone ? banks(asked) : code(asked)),
  processing,
  paid,
  rejected,
  expired: (asked) => over(asked, "expired"),
  canceled: (asked) => over(asked, "canceled"),
} as const satisfies Record<PaymentState, (asked: Asked) => Act>;

const act = (title: string, body: Html, sign?: Html): Act => ({
  title,
  section: html`<section class="act" aria-labelledby="title">
${sign ? html`<div class="head">${sign}<h1 id="title" tabindex="-1">${title}</h1></div>` : html`<h1 id="title" tabindex="-1">${title}</h1>`}
${body}
</section>`,
});

const sign = (tone: string, icon: Html) => html`<span class="sign ${tone}">${icon}</span>`;

/** Without a script nothing changes by itself; no `meta refresh`, which throws a reader back to the top (WCAG F41). */
const checkAgain = ({ texts }: Asked) =>
  html`<p class="gap" data-no-script><a class="link" href="">${texts.check}</a></p>`;

function code(asked: Asked): Act {
  const { texts, query } = asked;
  return act(
    texts.codeTitle,
    html`${picture(asked)}
<ol class="steps" role="list">${texts.codeSteps.map((step) => html`<li><span>${step}</span></li>`)}</ol>
${checkAgain(asked)}
<p><a class="link" href="${addressWith(query, { mobile: 1 })}">${texts.payHere}</a></p>`,
  );
}

const picture = ({ texts, links }: Asked) =>
  html`<div class="code" role="img" aria-label="${texts.codeName}">${qrCode(links.link_deeplinks)}</div>`;

/** From so many banks on there is a search. */
const searchedFrom = 9;

function banks(asked: Asked): Act {
  const { texts, query, banks: registered } = asked;
  const other = html`<p class="gap"><a class="link" href="${addressWith(query, { mobile: 0 })}">${texts.otherDevice}</a></p>`;
  if (registered.length === 0) {
    return act(
      texts.bankTitle,
      html`<p class="note warn gap">${texts.noBanks}</p>${picture(asked)}${checkAgain(asked)}`,
    );
  }
  const search = html`<div class="find" role="search" data-script><label for="find">${texts.findBank}</label><input id="find" type="search" autocomplete="off" autocapitalize="off" spellcheck="false" enterkeyhint="search" data-found="${texts.bankFound}"></div>`;
  return act(
    texts.bankTitle,
    html`<p class="lead soft">${texts.bankNote}</p>
${registered.length >= searchedFrom && search}
<p class="note gap" id="opened" role="status" data-text="${texts.bankOpened}" hidden></p>
<ul class="banks" id="banks" role="list">${registered.map((bank) => bankLink(asked, bank))}</ul>
<p class="note warn gap" id="none" role="status" hidden>${texts.bankNotFound}</p>
${checkAgain(asked)}
${other}`,
  );
}

function bankLink({ found }: Asked, bank: Participant): Html {
  const content = takesSigned(bank) ? found.signedDetails : orderParts(found).order.id;
  const name = shown(bank.name);
  return html`<li data-find="${bankSearchText(name, bank.bic)}"><a href="${bank.deepLinkPrefix + encodeURIComponent(content)}">${logoOf(bank)}<bdi class="name">${name}</bdi></a></li>`;
}

function processing(asked: Asked): Act {
  const { texts } = asked;
  return act(
    texts.processingTitle,
    html`<ol class="way" role="list">
<li class="done">${icons.stepDone}<span><span class="sr">${texts.stepDone}</span> ${texts.bankConfirmed}</span></li>
<li class="now" aria-current="step">${icons.stepNow}<span>${texts.shopIsAsked}</span></li>
<li>${icons.stepNext}<span>${texts.orderPaid}</span></li>
</ol>
<p class="note"><strong>${texts.payOnce}</strong> ${texts.mayClose}</p>
<p class="gap soft">${texts.howLong}</p>
${checkAgain(asked)}
${returnTo(asked, (address) => html`<p><a class="link" href="${address.href}" rel="noreferrer">${texts.backWithoutWaiting}</a></p>`)}`,
    sign("", icons.turning),
  );
}

function paid(asked: Asked): Act {
  const { texts, found, language, now } = asked;
  const decidedAt = found.paymentMessage?.decidedAt;
  const when = decidedAt ? happened(language, timestampDate(decidedAt), now) : "";
  return act(
    texts.paidTitle,
    html`<p class="lead">${filled(texts.paidLead, { when }).replace(" .", ".")}</p>
${backButton(asked)}
${returnTo(asked, (address) => html`<div id="auto" data-script data-to="${address.href}" class="gap" hidden><p class="soft" id="autoText" data-text="${texts.returning}"></p><button class="button quiet gap" type="button" id="stay">${texts.stay}</button></div>`)}`,
    sign("ok", icons.tick),
  );
}

/** The reason, the money, the way on: in the order in which they are asked. */
function rejected(asked: Asked): Act {
  const { texts, found } = asked;
  return act(
    texts.rejectedTitle,
    html`<p class="lead">${rejectedBecause(texts, found.paymentMessage?.reason ?? "")}</p>
<p class="note gap">${texts.rejectedMoney}</p>
<p class="gap">${texts.rejectedAgain}</p>
${backButton(asked)}`,
    sign("bad", icons.cross),
  );
}

function over(asked: Asked, how: "expired" | "canceled"): Act {
  const { texts, language, now } = asked;
  const when = until(language, expiryOf(asked), now);
  return act(
    texts[`${how}Title`],
    html`<p class="lead">${filled(texts[`${how}Lead`], { when })}</p>
<p class="gap">${texts.newOrder}</p>
${backButton(asked)}`,
    sign("warn", how === "expired" ? icons.clock : icons.cross),
  );
}

/** The way back to the shop, under the host's name: what a look-alike cannot have. */
const backButton = (asked: Asked) =>
  returnTo(
    asked,
    (address) =>
      html`<p class="gap"><a class="button" href="${address.href}" rel="noreferrer"><span>${asked.texts.back} <bdi>${address.host}</bdi></span></a></p>`,
  );

/** Nothing where the shop named no address that a browser may be sent to. An international host is shown as it is looked up (punycode). */
function returnTo({ found }: Asked, render: (address: URL) => Html): Html | undefined {
  const address = URL.parse(orderParts(found).order.redirectUrl);
  return address !== null && /^https?:$/.test(address.protocol) ? render(address) : undefined;
}
