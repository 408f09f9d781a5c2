import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import axe from "axe-core";
import jsQr from "jsqr";
import type { Browser, Page } from "playwright-core";
import { PNG } from "pngjs";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import type { SandboxOrder } from "../../src/sandbox/participants.ts";
import { makeKeys, startRest } from "../rest/fixture.ts";
import { startBrowser } from "../support/browser.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// What a payer sees, in a real browser before a whole platform. Screenshots of every state land in test-results/.

const shots = "test-results";

let browser: Browser;
let platform: Platform;
let shop: Server;
let shopUrl: string;
/** A REST process whose core is gone. */
let apart: string;
let stopApart: () => Promise<void>;

beforeAll(async () => {
  await mkdir(shots, { recursive: true });
  shop = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html").end("<!doctype html><title>Shop</title><h1>Thank you</h1>");
  }).listen(0, "127.0.0.1");
  await once(shop, "listening");
  browser = await startBrowser();
  platform = await startPlatform({ environment: { RETRY_DELAYS_MS: "20" } });
  const down = await startRest(await makeKeys(), {
    orders: {
      getOrder: () => {
        throw new ConnectError("down", Code.Unavailable);
      },
    },
  });
  apart = down.url;
  stopApart = async () => void (await down.stop());
  shopUrl = `http://127.0.0.1:${(shop.address() as AddressInfo).port}/orders/1`;
  // Nine more banks, so that the list has a search.
  for (const name of ["Каштан Банк", "Лелека", "Мальва", "Обрій", "Острів", "Сонях", "Хвиля", "Вербанк", "TPN Bank"]) {
    await platform.newBank({ name, roles: ["initiator"] });
  }
}, 600_000);
afterAll(async () => {
  await browser?.close();
  await stopApart?.();
  await platform?.[Symbol.asyncDispose]();
  shop?.close();
});
beforeEach(() => {
  for (const party of [platform.merchant, platform.recipient]) party.answers("pay-in", 200);
});

const computer = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

type Wish = Parameters<Browser["newContext"]>[0];

/** A page of its own browser profile, which may load nothing but from the platform and its shop, and reports every error. */
async function open(address: string, wish: Wish = computer, hasOwnClock = false): Promise<Page> {
  const context = await browser.newContext({ locale: "uk-UA", ...wish });
  const page = await context.newPage();
  if (hasOwnClock) await page.clock.install();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (204|400|404|503)/.test(message.text()))
      complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (![platform.url(), apart, shopUrl, "data:"].some((own) => request.url().startsWith(own)))
      complaints.push(request.url());
  });
  onTestFinished(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });
  await page.goto(address);
  return page;
}

const addressOf = ({ id }: { id: string }, more = "&mobile=0") =>
  `${platform.url()}/api/v1/merchants/order?id=${id}${more}`;

const title = (page: Page) => page.locator("h1").textContent();
const state = (page: Page) => page.locator("main").getAttribute("data-state");
const order = (wish: Parameters<Platform["merchant"]["order"]>[0] = {}): Promise<SandboxOrder> =>
  platform.merchant.order({ amount: 1_499.5, purpose: "«Кобзар», 2 прим.", url: shopUrl, ...wish });

async function becomes(page: Page, wanted: string): Promise<void> {
  await expect.poll(() => state(page), { timeout: 10_000 }).toBe(wanted);
}

/** Holds the shop's answers back, so that a payment stays under way until they are given. */
function shopWaits(): (status: number) => void {
  const { promise, resolve } = Promise.withResolvers<number>();
  platform.merchant.answers("pay-in", () => promise);
  onTestFinished(() => resolve(200));
  return resolve;
}

test("buy, pay, return: the page follows the payment to its end by itself and leads back to the shop", async () => {
  const bought = await order();
  const page = await open(addressOf(bought), computer, true);
  expect(await page.title()).toBe("До сплати 1\u00a0499,50\u00a0₴ · Kyiv Books");
  expect(await title(page)).toBe("Скануйте код, щоб оплатити");
  await platform.initiator.pays(bought);
  await becomes(page, "paid");
  expect(await page.title()).toMatch(/^Сплачено · /);
  // A screen reader hears it, and the focus is where it goes on.
  expect(await page.locator("#say").textContent()).toBe("Сплачено");
  expect(await page.evaluate("document.activeElement?.id")).toBe("title");
  expect(await page.locator("#autoText").textContent()).toMatch(/^Повернемо вас автоматично за [56] с\.$/);
  await page.clock.runFor(6_000);
  await page.waitForURL(shopUrl);
  expect(await title(page)).toBe("Thank you");
});

test("who wants to stay on the page of a paid order stays", async () => {
  const bought = await order();
  await platform.initiator.pays(bought);
  const page = await open(addressOf(bought), computer, true);
  await becomes(page, "paid");
  await page.locator("#stay").click();
  expect(await page.locator("#auto").isHidden()).toBe(true);
  await page.clock.runFor(60_000);
  expect(page.url()).toBe(addressOf(bought));
});

test("a payment under way says so, and one that the shop rejects says why and what becomes of the money", async () => {
  const shopAnswers = shopWaits();
  const bought = await order();
  const page = await open(addressOf(bought));
  await platform.initiator.pays(bought);
  await becomes(page, "processing");
  expect(await page.getByText("Не платіть удруге.").isVisible()).toBe(true);
  shopAnswers(422);
  await becomes(page, "rejected");
  expect(await page.locator(".lead").textContent()).toBe("Магазин не підтвердив замовлення.");
  expect(await page.getByText("їх повертає банк").isVisible()).toBe(true);
  expect(await page.locator("a.button").getAttribute("href")).toBe(shopUrl);
});

test("the time to pay is counted down, and over at its end without a click", async () => {
  const bought = await order({ expiresInSeconds: 4 });
  const page = await open(addressOf(bought));
  expect(await page.locator("#left").textContent()).toMatch(/^ще [234] с$/);
  expect(await page.locator("#due").getAttribute("class")).toContain("soon");
  await becomes(page, "expired");
  expect(await page.locator("a.button").isVisible()).toBe(true);
});

test("what the merchant cancels is over at once on every page that is open", async () => {
  const bought = await order();
  const [page, other] = await Promise.all([open(addressOf(bought)), open(addressOf(bought, "&mobile=1"), phone)]);
  await platform.merchant.client().cancelOrder(bought.id);
  await becomes(page, "canceled");
  await becomes(other, "canceled");
});

test("where streams fail the page asks, and comes to the same end", async () => {
  const bought = await order();
  const context = await browser.newContext({ locale: "uk-UA" });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  await page.route("**/order/events*", (route) => route.fulfill({ status: 503, headers: { "Retry-After": "1" } }));
  await page.goto(addressOf(bought));
  await platform.initiator.pays(bought);
  await becomes(page, "paid");
});

test("without JavaScript everything but the live change is there, and a link reads the page again", async () => {
  const bought = await order();
  const page = await open(addressOf(bought, "&mobile=1"), { ...phone, javaScriptEnabled: false });
  expect(await page.locator("#banks a").count()).toBe(10);
  expect(await page.locator("#find").isVisible()).toBe(false);
  const link = await page.locator("#banks a", { hasText: "Dnipro Bank" }).getAttribute("href");
  await platform.initiator.pays(await platform.initiator.opens(link ?? ""));
  const readAgain = async () => {
    await page.goto(addressOf(bought, "&mobile=1"));
    return state(page);
  };
  await expect.poll(readAgain, { timeout: 10_000 }).toBe("paid");
  expect(await page.locator("#auto").isVisible()).toBe(false);
  const waiting = await open(addressOf(await order()), { ...computer, javaScriptEnabled: false });
  expect(await waiting.locator(".live").isVisible()).toBe(false);
  await waiting.getByText("Перевірити стан оплати").click();
  expect(await title(waiting)).toBe("Скануйте код, щоб оплатити");
});

test("a phone gets the banks, finds one in either script, and pays the order that the link holds", async () => {
  const bought = await order();
  const page = await open(addressOf(bought, ""), { ...phone, userAgent: "Mozilla/5.0 (Android 15; Mobile) Gecko" });
  expect(await title(page)).toBe("Оберіть свій банк");
  await page.locator("#find").fill("kashtan");
  await expect.poll(() => page.locator("#banks li:visible").count()).toBe(1);
  expect(await page.locator("#say").textContent()).toBe("Знайдено: 1");
  await page.locator("#find").fill("немає такого");
  await expect.poll(() => page.locator("#none").isVisible()).toBe(true);
  await page.locator("#find").fill("дніпро");
  const link = page.locator("#banks li:visible a");
  const found = await platform.initiator.opens((await link.getAttribute("href")) ?? "");
  await page.evaluate('addEventListener("click", (event) => event.preventDefault())');
  await link.click();
  expect(await page.locator("#opened").textContent()).toContain("Відкриваємо «Dnipro Bank»…");
  await platform.initiator.pays(found);
  await becomes(page, "paid");
});

test("the other language and the other view are one click away, and the page works by the keyboard alone", async () => {
  const page = await open(addressOf(await order()));
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  expect(await page.evaluate("document.activeElement?.textContent")).toBe("English");
  const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineWidth");
  expect(outline).toBe("3px");
  await page.keyboard.press("Enter");
  await expect.poll(() => title(page)).toBe("Scan the code to pay");
  expect(await page.title()).toBe("To pay UAH\u00a01,499.50 · Kyiv Books");
  await page.getByText("Pay on this device").click();
  await expect.poll(() => title(page)).toBe("Choose your bank");
  await page.getByText("Show a QR code for another device").click();
  await expect.poll(() => title(page)).toBe("Scan the code to pay");
});

test.each([["light"], ["dark"]] as const)("the code is read back from a screenshot (%s)", async (colorScheme) => {
  const bought = await order();
  const page = await open(addressOf(bought), { ...computer, colorScheme });
  const png = PNG.sync.read(await page.screenshot());
  const code = jsQr.default(new Uint8ClampedArray(png.data), png.width, png.height);
  expect(code?.data).toBe(bought.link_deeplinks);
});

// ---------------------------------------------------------------------------------------------------------- every state

/** How each state comes about; answers the address of its page. */
const stages: Record<string, (mobile: 0 | 1) => Promise<string>> = {
  waiting: async (mobile) => addressOf(await order({ ref: `2026-${Date.now()}` }), `&mobile=${mobile}`),
  processing: async (mobile) => {
    shopWaits();
    const bought = await order();
    await platform.initiator.pays(bought);
    return addressOf(bought, `&mobile=${mobile}`);
  },
  paid: async (mobile) => {
    const bought = await order();
    await platform.initiator.pays(bought);
    return addressOf(bought, `&mobile=${mobile}`);
  },
  rejected: async (mobile) => {
    platform.merchant.answers("pay-in", 422);
    const bought = await order();
    await platform.initiator.pays(bought);
    return addressOf(bought, `&mobile=${mobile}`);
  },
  expired: async (mobile) => addressOf(await order({ expiresInSeconds: 1 }), `&mobile=${mobile}`),
  canceled: async (mobile) => {
    const bought = await order();
    await platform.merchant.client().cancelOrder(bought.id);
    return addressOf(bought, `&mobile=${mobile}`);
  },
  notFound: async (mobile) => addressOf({ id: "01a20ded-7020-7289-ba81-9b941c29b033" }, `&mobile=${mobile}`),
  malformed: async (mobile) => addressOf({ id: "1" }, `&mobile=${mobile}`),
  unavailable: async (mobile) =>
    `${apart}/api/v1/merchants/order?id=01a20ded-7020-7289-ba81-9b941c29b033&mobile=${mobile}`,
};

/** What axe finds against WCAG 2.2 (A, AA) and good practice. */
async function findings(page: Page): Promise<string[]> {
  // Playwright evaluates beside the page's content security policy.
  await page.evaluate(axe.source);
  return page.evaluate<string[]>(`axe.run().then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ": " + html)))`);
}

test.each(Object.keys(stages))("%s: accessible and shown in both sizes, languages and palettes", async (wanted) => {
  const stage = stages[wanted] as (mobile: 0 | 1) => Promise<string>;
  for (const [size, device] of [
    ["computer", computer],
    ["phone", phone],
  ] as const) {
    const address = await stage(size === "phone" ? 1 : 0);
    const page = await open(`${address}&lang=uk`, { ...device, reducedMotion: "reduce" });
    for (const lang of ["uk", "en"] as const) {
      if (lang === "en") await page.goto(`${address}&lang=en`);
      await becomes(page, wanted);
      expect(await page.locator("html").getAttribute("lang")).toBe(lang);
      if (wanted === "paid") await page.locator("#stay").click();
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: `${shots}/${wanted}-${size}-${lang}-${colorScheme}.png`, fullPage: true });
        // What is wrong in one language is wrong in both, but for the language itself.
        if (lang === "uk" || colorScheme === "light") expect(await findings(page), `${size} ${lang}`).toEqual([]);
      }
      const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      expect(overflow).toBeLessThanOrEqual(0);
    }
  }
});

test("logos come from the platform and nobody else, also where somebody registered an evil one", async () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><script>alert(1)</script><rect width="40" height="40" fill="#c00"/></svg>';
  let asked = 0;
  const designer = createServer((_request, response) => {
    asked += 1;
    response.setHeader("Content-Type", "image/svg+xml").end(svg);
  }).listen(0, "127.0.0.1");
  await once(designer, "listening");
  onTestFinished(() => void designer.close());
  const logoUrl = `http://127.0.0.1:${(designer.address() as AddressInfo).port}/logo.svg`;
  const bank = await platform.newBank({ name: "Банк з логотипом", roles: ["initiator"] }, { logoUrl });
  const logo = async () => {
    const query = { by: { case: "guid" as const, value: bank.guid } };
    return (await platform.operators().participants.getParticipant(query)).participant?.logoSha256;
  };
  await expect.poll(logo, { timeout: 10_000 }).toMatch(/^[0-9a-f]{64}$/);
  const bought = await order();
  // The list of banks is some two seconds old at most.
  await expect
    .poll(async () => (await fetch(addressOf(bought, "&mobile=1"))).text(), { timeout: 10_000 })
    .toContain(`../logos/${await logo()}`);
  const page = await open(addressOf(bought, "&mobile=1"), phone);
  const picture = page.locator("#banks li", { hasText: "Банк з логотипом" }).locator("img");
  await expect
    .poll(() => picture.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth))
    .toBe(120);
  expect(asked).toBe(1);
});

test("hostile names, purposes and addresses stay text, in their place", async () => {
  const evil = `\u202E<img src=x onerror="alert(1)">"'</p><script>alert(2)</script>${"Ш".repeat(60)}`;
  const merchant = await platform.newMerchant({ name: evil.slice(0, 140), bank: platform.recipient });
  await platform.newBank({ name: `<b>${"W".repeat(120)}`, roles: ["initiator"] });
  const bought = await merchant.order({
    purpose: evil,
    ref: `r"><i>${Date.now()}`,
    url: "https://xn--80ak6aa92e.com/",
  });
  const page = await open(addressOf(bought, "&mobile=1"), { ...phone, viewport: { width: 320, height: 700 } });
  expect(await page.locator("p.soft.foreign").textContent()).toBe(evil.replace("\u202E", ""));
  expect(await page.locator("img:not(.mark), i, b:not(#left), script").count()).toBe(1);
  // Nothing sticks out at the side of the narrowest phone.
  const wide = await page.evaluate<number>("document.documentElement.scrollWidth");
  expect(wide).toBeLessThanOrEqual(320);
  await page.screenshot({ path: `${shots}/hostile.png`, fullPage: true });
});
