import { mkdir } from "node:fs/promises";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startBrowser } from "../support/browser.ts";
import { type GatewayProcess, runGatewayProcess } from "../support/gatewayProcess.ts";

// The sandbox as somebody meets it who starts it for the first time: its shop, in a browser.

let browser: Browser;
let sandbox: GatewayProcess;
let shop: string;

beforeAll(async () => {
  await mkdir("test-results", { recursive: true });
  browser = await startBrowser();
  sandbox = runGatewayProcess(["sandbox"], { REST_PORT: "0", RPC_PORT: "0" });
  shop = (await sandbox.says(/^shop to buy in +(\S+)$/m, 120_000))[1] ?? "";
  // The payment that the sandbox makes by itself.
  await sandbox.says(/ended: 1 successful, 0 rejected/, 60_000);
}, 600_000);
afterAll(async () => {
  await browser?.close();
  await sandbox?.kill("SIGTERM");
});

test("who buys in its shop pays in the bank's app, sees the payment's end, and is led back", async () => {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 390, height: 844 }, isMobile: true });
  const page = await context.newPage();
  await page.goto(shop);
  await page.getByRole("button", { name: "Buy" }).click();
  await page.waitForURL(/\/api\/v1\/merchants\/order\?id=/);
  expect(await page.locator("main").getAttribute("data-state")).toBe("waiting");
  await page.getByRole("link", { name: "Pay on this device" }).click();
  await page.getByRole("link", { name: "Dnipro Bank" }).click();
  await page.waitForURL(`${shop}/pay/**`);
  const app = await page.locator("main").textContent();
  expect(app).toContain("Kyiv Books");
  expect(app).toContain("1499.50 UAH");
  await page.screenshot({ path: "test-results/sandbox-app.png" });
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.waitForURL(/\/api\/v1\/merchants\/order\?id=/);
  await expect.poll(() => page.locator("main").getAttribute("data-state"), { timeout: 10_000 }).toBe("paid");
  await page.screenshot({ path: "test-results/sandbox-paid.png" });
  await page.waitForURL(`${shop}/thanks`, { timeout: 15_000 });
  expect(await page.locator("h1").textContent()).toBe("Thank you for your order");
  await context.close();
  expect(sandbox.output()).not.toContain("Problem");
});

test.each([
  ["a link that the platform has not signed", "/pay/a.b.c", "GET", {}, 400],
  ["the form of a stranger's page", "/buy", "POST", { "Sec-Fetch-Site": "cross-site" }, 403],
  ["an address that is none", "/elsewhere", "GET", {}, 404],
])("%s is refused in words", async (_what, path, method, headers, status) => {
  const answer = await fetch(`${shop}${path}`, { method, headers: headers as Record<string, string> });
  expect(answer.status).toBe(status);
  expect(await answer.text()).toMatch(/<h1>\w/);
});
