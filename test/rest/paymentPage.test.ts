import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { type Order, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import {
  type PaymentMessage,
  PaymentMessageSchema,
  PaymentMessageStatus,
} from "../../gen/dcm/v1/payment_message_pb.ts";
import { reasons } from "../../gen/rest/webhooks.ts";
import { refuse } from "../../src/domain/errors.ts";
import type { Participant } from "../../src/domain/participant.ts";
import type { RestDeps } from "../../src/rest/context.ts";
import { orderDetailsClaims } from "../../src/wire/order.ts";
import {
  ask,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  NOW,
  ORDER_ID,
  participants,
  type Rest,
  SECOND_BANK_GUID,
  startRest,
} from "./fixture.ts";

// What the payer's browser shows (wire contract, section 2, "Deep links").

let keys: Keys;
let rest: Rest;
let order: GetOrderResponse;
/** How often somebody asked for the order's signed details. */
let signatures = 0;

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, fakes());
});
beforeEach(() => {
  order = exampleOrder(keys);
  signatures = 0;
});
afterAll(() => rest.stop());

const fakes = () => ({
  core: {
    getOrder: async (id: string) =>
      id === ORDER_ID ? order : refuse("ORDER_NOT_FOUND", "order not found", { field: "order_id" }),
    signedDetails: async (found: GetOrderResponse) => {
      signatures += 1;
      return JSON.stringify(orderDetailsClaims(found, NOW));
    },
  },
});

/** A translator of this test alone; `change` is what differs about every bank. */
async function restOf(
  deps: Partial<RestDeps>,
  change: Partial<Participant> = {},
  parties: readonly Participant[] = participants(keys),
): Promise<Rest> {
  const registered = parties.map((party) => (party.kind === "bank" ? { ...party, ...change } : party));
  const other = await startRest(keys, { ...fakes(), registered }, deps);
  onTestFinished(() => other.stop());
  return other;
}

const pageOf = (mobile: string) => ask(rest, `/api/v1/merchants/order?id=${ORDER_ID}${mobile}`);

test("mobile=0 shows a QR code, and runs and loads nothing of others", async () => {
  const { status, text, headers } = await pageOf("&mobile=0");
  expect(status).toBe(200);
  expect(text).toContain("<svg");
  expect(text).toContain("1\u00a0000,00\u00a0₴");
  // What was asked for by name depends on nothing else, and nothing of it is stored.
  expect(headers.get("vary")).toBeNull();
  expect(headers.get("cache-control")).toBe("no-store");
  const policy = headers.get("content-security-policy") ?? "";
  expect(policy).toMatch(
    /^default-src 'none'; img-src 'self' data:; style-src 'sha256-\S+'; script-src 'sha256-\S+'; /,
  );
  expect(policy.endsWith("base-uri 'none'; form-action 'none'; frame-ancestors 'none'")).toBe(true);
  for (const [tag, directive] of [
    ["style", "style-src"],
    ["script", "script-src"],
  ] as const) {
    const [, content = ""] = new RegExp(`<${tag}>(.*?)</${tag}>`, "s").exec(text) ?? [];
    const digest = createHash("sha256").update(content).digest("base64");
    expect(policy).toContain(`${directive} 'sha256-${digest}'`);
  }
});

/** What the fake core signs, as a link holds it: the order's id comes first. */
const signed = new RegExp(`^%7B%22id%22%3A%22${ORDER_ID}%22%2C.*%22iat%22%3A${NOW.getTime() / 1000}%7D$`);
/** What follows the prefix in the first link that has it. */
function contentAfter(prefix: string, html: string): string {
  const [, found = ""] = html.split(`href="${prefix}`);
  return found.slice(0, found.indexOf('"'));
}

test("mobile=1 lists deep links with the signed order; a prefix that a browser would run is left out", async () => {
  const { text } = await pageOf("&mobile=1");
  expect(contentAfter("tpnbank://pay?order=", text)).toMatch(signed);
  expect(text).not.toContain("javascript:");
});

test("a bank whose links hold the order's id gets that, and where all banks do nothing is signed", async () => {
  const other = await restOf({}, { deepLinkContent: "order_id" });
  const { text } = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID.toUpperCase()}&mobile=1`);
  expect(text).toContain(`href="tpnbank://pay?order=${ORDER_ID}"`);
  expect((await ask(other, "/api/v1/merchants/emitters")).json).toMatchObject([{ deep_link_content: "order_id" }]);
  expect(signatures).toBe(0);
});

test("a link is escaped, whatever the bank's prefix has in it", async () => {
  const other = await restOf({}, { deepLinkPrefix: 'tpnbank://pay?a="><b>&order=' });
  const { text } = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`);
  expect(contentAfter("tpnbank://pay?a=&quot;&gt;&lt;b&gt;&amp;order=", text)).toMatch(signed);
  expect(text).not.toContain("<b>");
});

const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148";
const computer = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
test.each<[shown: "links" | "QR code", headers: Record<string, string>]>([
  ["links", { "User-Agent": phone }],
  ["links", { "User-Agent": "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0" }],
  ["QR code", { "User-Agent": computer }],
  [
    "QR code",
    { "User-Agent": "Mozilla/5.0 (Linux; Android 15; SM-X710) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36" },
  ],
  ["links", { "User-Agent": computer, "Sec-CH-UA-Mobile": "?1" }],
  ["QR code", { "User-Agent": phone, "Sec-CH-UA-Mobile": "?0" }],
  ["links", { "User-Agent": phone, "Sec-CH-UA-Mobile": "yes" }],
  ["QR code", { "User-Agent": "" }],
])("without mobile the page suits the device: %s for %j", async (shown, headers) => {
  const answer = await ask(rest, `/api/v1/merchants/order?id=${ORDER_ID}`, { headers });
  expect(answer.text.includes("tpnbank://")).toBe(shown === "links");
  expect(answer.text.includes('role="img"')).toBe(shown === "QR code");
  expect(answer.headers.get("vary")).toBe("Sec-CH-UA-Mobile, User-Agent");
});

test("texts of others are escaped", async () => {
  order = exampleOrder(keys, { purpose: '<img src=x onerror="alert(1)">', redirectUrl: "javascript:alert(1)" });
  const { text } = await pageOf("");
  expect(text).toContain("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
  expect(text).not.toContain("javascript:");
});

const message = (status: PaymentMessageStatus, reason = "") =>
  create(PaymentMessageSchema, { guid: MESSAGE_GUID, status, reason, decidedAt: timestampFromDate(NOW) });

/** Every state of an order, and what its page says first in both languages. */
const states: [state: string, change: Partial<Order>, message: PaymentMessage | undefined, uk: string, en: string][] = [
  ["waiting", {}, undefined, "Скануйте код, щоб оплатити", "Scan the code to pay"],
  [
    "processing",
    { status: OrderStatus.IN_PROGRESS },
    message(PaymentMessageStatus.PENDING),
    "Платіж обробляється",
    "Payment in progress",
  ],
  ["paid", { status: OrderStatus.SUCCESS }, message(PaymentMessageStatus.SUCCESS), "Сплачено", "Paid"],
  [
    "rejected",
    { status: OrderStatus.CANCELED },
    message(PaymentMessageStatus.REJECT, reasons.RejectReason.merchant),
    "Платіж не пройшов",
    "The payment did not go through",
  ],
  ["expired", { status: OrderStatus.CANCELED }, undefined, "Час на оплату минув", "The time to pay is over"],
  [
    "canceled",
    { status: OrderStatus.CANCELED, canceledByMerchant: true },
    undefined,
    "Магазин скасував замовлення",
    "The shop canceled the order",
  ],
];

test.each(states)(
  "an order that is %s has a page that says so, in both languages",
  async (state, change, paid, uk, en) => {
    order = { ...exampleOrder(keys, change), ...(paid && { paymentMessage: paid }) };
    for (const [lang, title] of [
      ["uk", uk],
      ["en", en],
    ] as const) {
      const { status, text } = await pageOf(`&mobile=0&lang=${lang}`);
      expect(status).toBe(200);
      expect(text).toContain(`<html lang="${lang}">`);
      expect(text).toContain(`data-state="${state}"`);
      expect(text).toContain(`<h1 id="title" tabindex="-1">${title}</h1>`);
      expect(text.includes('role="img"')).toBe(state === "waiting");
      // Only who can still hear of a change counts down to it.
      expect(text.includes("data-expires")).toBe(state === "waiting");
      expect(text.includes("data-events=")).toBe(["waiting", "processing"].includes(state));
    }
    // A link that leads nowhere is not signed.
    const { text } = await pageOf("&mobile=1");
    expect(text.includes("tpnbank://")).toBe(state === "waiting");
    expect(signatures).toBe(state === "waiting" ? 1 : 0);
  },
);

test("an order past its expiry is one that the core answers as canceled: nothing here has a clock of its own", async () => {
  order = exampleOrder(keys, { status: OrderStatus.CREATED, expiresAt: timestampFromDate(NOW) });
  expect((await pageOf("&mobile=0")).text).toContain('data-state="waiting"');
});

test.each([
  [reasons.RejectReason.merchant, "Магазин не підтвердив замовлення.", "The shop did not confirm the order."],
  [reasons.RejectReason.bank_silence, "Банк магазину не відповів.", "The shop's bank did not answer."],
  [reasons.RejectReason.bank_answer, "Банк магазину відхилив платіж.", "The shop's bank refused the payment."],
  ["something else", "Магазин або його банк не прийняв платіж.", "The shop or its bank did not accept the payment."],
  ["constructor", "Магазин або його банк не прийняв платіж.", "The shop or its bank did not accept the payment."],
])("the reason %j is told in words", async (reason, uk, en) => {
  const rejected = message(PaymentMessageStatus.REJECT, reason);
  order = { ...exampleOrder(keys, { status: OrderStatus.CANCELED }), paymentMessage: rejected };
  expect((await pageOf("&lang=uk")).text).toContain(`<p class="lead">${uk}</p>`);
  expect((await pageOf("&lang=en")).text).toContain(`<p class="lead">${en.replace("'", "&#39;")}</p>`);
});

test.each([
  ["uk-UA,uk;q=0.9,en;q=0.8", "uk"],
  ["en-US,en;q=0.9", "en"],
  ["de, en;q=0.5, uk;q=0.4", "en"],
  ["de", "uk"],
  ["*", "uk"],
  ["", "uk"],
])("without lang the page is in the language that the browser prefers: %j", async (accepted, lang) => {
  const answer = await ask(rest, `/api/v1/merchants/order?id=${ORDER_ID}`, {
    headers: { "Accept-Language": accepted },
  });
  expect(answer.text).toContain(`<html lang="${lang}">`);
});

test("each view leads to the other and to the other language, and keeps what was asked for by name", async () => {
  const links = ({ text }: { text: string }) => [...text.matchAll(/href="(\?[^"]*)"/g)].map(([, href]) => href);
  expect(links(await pageOf("&mobile=0"))).toEqual([
    `?id=${ORDER_ID}&amp;mobile=0&amp;lang=uk`,
    `?id=${ORDER_ID}&amp;mobile=0&amp;lang=en`,
    `?id=${ORDER_ID}&amp;mobile=1`,
  ]);
  expect(links(await pageOf("&mobile=1&lang=en"))).toEqual([
    `?id=${ORDER_ID}&amp;mobile=1&amp;lang=uk`,
    `?id=${ORDER_ID}&amp;mobile=1&amp;lang=en`,
    `?id=${ORDER_ID}&amp;mobile=0&amp;lang=en`,
  ]);
});

test("the slip names the payee as a bank's application shows it, what is paid for, and the shop's own number", async () => {
  const { text } = await pageOf("&mobile=0");
  expect(text).toContain("<title>До сплати 1\u00a0000,00\u00a0₴ · City24 LLC</title>");
  expect(text).toContain('<bdi class="foreign">City24 LLC</bdi>');
  expect(text).toContain('<p class="foreign soft">Payment for goods/services</p>');
  expect(text).toContain('<dd class="foreign">City24 LLC, код 12345678</dd>');
  expect(text).toContain('<dd class="foreign">d4ee06f</dd>');
  // From where on the script counts, and counts seconds.
  expect(text).toContain('data-counted-from="86400000" data-seconds-from="120000"');
  expect(text).toContain('<time datetime="2024-06-27T13:11:21.000Z">');
});

test("the way back stands on the host that it leads to, in the spelling that cannot deceive", async () => {
  order = exampleOrder(keys, { status: OrderStatus.SUCCESS, redirectUrl: "https://пример.example/back?a=1&b=2" });
  const { text } = await pageOf("&mobile=0");
  expect(text).toContain('<a class="button" href="https://xn--e1afmkfd.example/back?a=1&amp;b=2" rel="noreferrer">');
  expect(text).toContain("<bdi>xn--e1afmkfd.example</bdi>");
});

test.each(["x:https://a.example", "javascript:alert(1)", ""])("%j is no way back", async (redirectUrl) => {
  order = exampleOrder(keys, { status: OrderStatus.SUCCESS, redirectUrl });
  const { text } = await pageOf("&mobile=0");
  expect(text).not.toContain('rel="noreferrer"');
  expect(text).not.toContain('id="auto"');
});

test("what turns the direction of writing or breaks a line is not shown", async () => {
  order = exampleOrder(keys, { purpose: "a\u202Eb\u2066c\u0007d\u2028e", ref: "\u202Aref" });
  const { text } = await pageOf("&mobile=0");
  expect(text).toContain("abc d e");
  expect(text).toContain('<dd class="foreign">ref</dd>');
  expect(text).not.toMatch(/[\u202A-\u202E\u2066-\u2069]/);
});

test("a payer on a phone hears that no bank takes part yet, and gets the code", async () => {
  const other = await restOf({}, { status: "suspended" });
  const { text } = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`);
  expect(text).toContain("Жоден банк ще не відкривається звідси.");
  expect(text).toContain('role="img"');
});

/** So many banks, each with a name of its own. */
const manyBanks = (count: number) => [
  ...participants(keys),
  ...Array.from({ length: count - 1 }, (_, place) => ({
    ...participants(keys)[0],
    guid: `0b6f2a9d-5a41-4a0e-8c35-${String(place).padStart(12, "0")}`,
    bic: String(300_000 + place),
    name: `Банк №${place}`,
  })),
];

test.each([
  [8, false],
  [9, true],
])("of %i banks one is found by looking, of more by searching", async (count, hasSearch) => {
  const other = await restOf({}, {}, manyBanks(count));
  const { text } = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`);
  expect(text.match(/<li data-find=/g)).toHaveLength(count);
  expect(text.includes('id="find"')).toBe(hasSearch);
  expect(text).toContain('data-find="tpn bank тпн банк 306500"');
});

test.each([
  [13, 30],
  [200, 60],
])("a page with %i banks travels in less than %i KB", async (count, kilobytes) => {
  const other = await restOf({}, {}, manyBanks(count));
  const address = `${other.url}/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`;
  const answer = await fetch(address, { headers: { "Accept-Encoding": "gzip" } });
  expect(answer.headers.get("content-encoding")).toBe("gzip");
  expect(Number(answer.headers.get("content-length"))).toBeLessThan(kilobytes * 1_024);
  const page = await answer.text();
  const plain = await fetch(address, { headers: { "Accept-Encoding": "identity" } });
  expect(plain.headers.get("content-encoding")).toBeNull();
  const timeless = (text: string) => text.replace(/data-now="\d+"/, "");
  expect(timeless(await plain.text())).toBe(timeless(page));
});

// ------------------------------------------------------------------------------------------------------ no order to show

const browser = { Accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };

test.each([
  ["notFound", 404, `id=${SECOND_BANK_GUID}`, "Такого замовлення немає"],
  ["malformed", 400, "id=nonsense", "Посилання неповне"],
  ["malformed", 400, `id=${ORDER_ID}&mobile=2`, "Посилання неповне"],
  ["malformed", 400, "", "Посилання неповне"],
  ["malformed", 400, `id=${ORDER_ID}&lang=de`, "Посилання неповне"],
])(
  "%s: a browser reads in words that there is no order to show, a program gets the error",
  async (state, status, query, title) => {
    const path = `/api/v1/merchants/order?${query}`;
    const page = await ask(rest, path, { headers: browser });
    expect(page.status).toBe(status);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(page.text).toContain(`data-state="${state}"`);
    expect(page.text).toContain(`<h1 id="title" tabindex="-1">${title}</h1>`);
    // Nothing of the address is repeated.
    expect(page.text).not.toContain("nonsense");
    for (const headers of [{}, { Accept: "application/json" }] as Record<string, string>[]) {
      const program = await ask(rest, path, { headers });
      expect(program.status).toBe(status);
      expect(program.headers.get("content-type")).toBe("application/json; charset=utf-8");
      expect(program.json).toHaveProperty("code");
    }
  },
);

test("a failure is in the language that was asked for, or that the browser prefers", async () => {
  const path = `/api/v1/merchants/order?id=${SECOND_BANK_GUID}`;
  const english = { headers: { ...browser, "Accept-Language": "en" } };
  expect((await ask(rest, `${path}&lang=en`, { headers: browser })).text).toContain("There is no such order");
  expect((await ask(rest, path, english)).text).toContain("There is no such order");
  expect((await ask(rest, `${path}&lang=uk`, english)).text).toContain("Такого замовлення немає");
});

test("while the platform cannot work, a browser reads that its payment is not lost, and when to come again", async () => {
  const other = await startRest(keys, {
    orders: {
      getOrder: () => {
        throw new ConnectError("down", Code.Unavailable);
      },
    },
  });
  onTestFinished(() => other.stop());
  const page = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID}`, { headers: browser });
  expect(page.status).toBe(503);
  expect(page.headers.get("retry-after")).toBe("1");
  expect(page.text).toContain("Платіж, який ви вже підтвердили, не загубиться.");
  expect(page.text).toContain('<a class="button" href="">Спробувати ще раз</a>');
});

test("a program that asks for JSON gets the order's state", async () => {
  order = exampleOrder(keys, { status: OrderStatus.IN_PROGRESS });
  const answer = await ask(rest, `/api/v1/merchants/order?id=${ORDER_ID}`, { headers: { Accept: "application/json" } });
  expect(answer.status).toBe(200);
  expect(answer.json).toMatchObject({ order_id: ORDER_ID, status: "In Progress" });
  expect(answer.headers.get("content-security-policy")).toBeNull();
});
