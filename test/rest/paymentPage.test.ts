import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../src/domain/participant.ts";
import type { RestDeps } from "../../src/rest/context.ts";
import { orderDetailsClaims } from "../../src/wire/order.ts";
import {
  ask,
  exampleOrder,
  type Keys,
  makeKeys,
  NOW,
  ORDER_ID,
  participants,
  type Rest,
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
    getOrder: async () => order,
    signedDetails: async (found: GetOrderResponse) => {
      signatures += 1;
      return JSON.stringify(orderDetailsClaims(found, NOW));
    },
  },
});

/** A translator of this test alone; `change` is what differs about every bank. */
async function restOf(deps: Partial<RestDeps>, change: Partial<Participant> = {}): Promise<Rest> {
  const registered = participants(keys).map((party) => (party.kind === "bank" ? { ...party, ...change } : party));
  const other = await startRest(keys, { ...fakes(), registered }, deps);
  onTestFinished(() => other.stop());
  return other;
}

const pageOf = (mobile: string) => ask(rest, `/api/v1/merchants/order?id=${ORDER_ID}${mobile}`);

test("mobile=0 shows a QR code and runs nothing", async () => {
  const { status, text, headers } = await pageOf("&mobile=0");
  expect(status).toBe(200);
  expect(text).toContain("<svg");
  expect(text).toContain("1000.00 UAH");
  expect(text).not.toContain("<script");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
});

/** What the fake core signs, as a link holds it: the order's id comes first. */
const signed = new RegExp(`^%7B%22id%22%3A%22${ORDER_ID}%22%2C.*%22iat%22%3A${NOW.getTime() / 1000}%7D$`);
/** What follows the prefix in the first link that has it. */
function contentAfter(prefix: string, html: string): string {
  const [, found = ""] = html.split(`href="${prefix}`);
  return found.slice(0, found.indexOf('"'));
}

test("mobile=1 lists deep links with the signed order; a prefix that a browser would run is left out", async () => {
  const { text, headers } = await pageOf("&mobile=1");
  expect(contentAfter("tpnbank://pay?order=", text)).toMatch(signed);
  expect(text).not.toContain("javascript:");
  // What was asked for by name depends on nothing else.
  expect(headers.get("vary")).toBeNull();
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
  expect(answer.text.includes("<svg")).toBe(shown === "QR code");
  expect(answer.headers.get("vary")).toBe("Sec-CH-UA-Mobile, User-Agent");
});

test("texts of others are escaped", async () => {
  order = exampleOrder(keys, { purpose: '<img src=x onerror="alert(1)">', redirectUrl: "javascript:alert(1)" });
  const { text } = await pageOf("");
  expect(text).toContain("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
  expect(text).not.toContain("javascript:");
});

test.each([
  ["paid", { status: OrderStatus.SUCCESS }],
  ["canceled", { status: OrderStatus.CANCELED }],
  // By the clock of the core, which from that instant on answers it as canceled.
  ["past its expiry", { status: OrderStatus.CANCELED, expiresAt: timestampFromDate(NOW) }],
])("an order that is %s cannot be paid any more", async (_what, change) => {
  order = exampleOrder(keys, change);
  const { status, text } = await pageOf("&mobile=1");
  expect(status).toBe(200);
  expect(text).not.toContain("tpnbank://");
  expect(text).toContain('role="status"');
  // A link that leads nowhere is not signed.
  expect(signatures).toBe(0);
});

test("the page on a computer says what to do with the code, and leads a payer without another device to the links", async () => {
  const { text } = await pageOf("&mobile=0");
  expect(text).toContain("Відскануйте QR-код застосунком свого банку або камерою телефона.");
  expect(text).toContain('<div class="qr" role="img" aria-label="QR-код для оплати"><svg');
  expect(text).toMatch(/<a href="[^"]+&amp;mobile=1">Оплатити на цьому пристрої<\/a>/);
});

test.each([
  [OrderStatus.SUCCESS, "Замовлення сплачено."],
  [OrderStatus.IN_PROGRESS, "Платіж обробляється."],
  [OrderStatus.CANCELED, "Замовлення скасовано або строк його дії минув."],
])("status %i of an order is a sentence on its page, in place of a way to pay", async (status, sentence) => {
  order = exampleOrder(keys, { status });
  const { text } = await pageOf("&mobile=0");
  expect(text).toContain(`<p role="status">${sentence}</p>`);
  expect(text).not.toContain("<svg");
});

test("the page names the merchant and what is paid for, and leads back to the shop", async () => {
  const { text } = await pageOf("&mobile=1");
  expect(text).toContain('<html lang="uk">');
  expect(text).toContain("<title>1000.00 UAH – City24 LLC</title>");
  expect(text).toContain('<body class="payment"><main><h1>City24 LLC</h1>');
  expect(text).toContain("<p>Payment for goods/services</p>");
  expect(text).toContain('<p><a href="https://www.city24.com">Повернутися до продавця</a></p>');
  expect(text).toContain('<p>Оберіть свій банк.</p><ul class="banks"><li>');
  expect(text).toContain('<img src="https://www.tpnbank.example/logo.svg" alt=""> TPN Bank</a></li></ul>');
});

test("an address that is not of the web is no way back, wherever its scheme stands", async () => {
  order = exampleOrder(keys, { redirectUrl: "x:https://a.example" });
  expect((await pageOf("&mobile=0")).text).not.toContain("Повернутися");
});

test.each(["http://a.example/logo.svg", "x:https://a.example/logo.svg", ""])(
  "a logo at %j is not shown",
  async (logoUrl) => {
    const other = await restOf({}, { logoUrl });
    const { text } = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`);
    expect(text).not.toContain("<img");
    expect(text).toContain("TPN Bank</a>");
  },
);

test("a payer on a phone hears that no bank takes part yet", async () => {
  const other = await restOf({}, { status: "suspended" });
  const { text } = await ask(other, `/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`);
  expect(text).toContain('<p role="status">Жоден банк ще не приймає оплату з телефона.</p>');
  expect(text).not.toContain("Оберіть");
});
