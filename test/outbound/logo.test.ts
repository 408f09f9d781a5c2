import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { PNG } from "pngjs";
import sharp from "sharp";
import { expect, onTestFinished, test } from "vitest";
import { createAddressGuard } from "../../src/outbound/address.ts";
import { fetchLogo } from "../../src/outbound/logo.ts";

// A logo, copied from an address that a stranger chose.

const guard = createAddressGuard({ allowCidrs: ["127.0.0.0/8"] });

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/logo`;
}

const publish = (content: Uint8Array | string) => serve((_, response) => response.end(content));
const red = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: "#f00" } });

async function copied(content: Uint8Array | string): Promise<PNG> {
  const logo = await fetchLogo(guard, await publish(content));
  if ("problem" in logo) throw new Error(logo.problem);
  return PNG.sync.read(Buffer.from(logo.png));
}

const problemOf = async (content: Uint8Array | string) => fetchLogo(guard, await publish(content));

/** The red, green, blue and opacity of the point in the middle. */
const middle = ({ width, height, data }: PNG) => {
  const at = 4 * (Math.floor(height / 2) * width + Math.floor(width / 2));
  return [...data.subarray(at, at + 4)];
};

test.each(["png", "jpeg", "webp", "gif"] as const)("a %s is drawn anew, small", async (format) => {
  const picture = await copied(await red(300, 150).toFormat(format).toBuffer());
  expect([picture.width, picture.height]).toEqual([120, 60]);
  const [r = 0, g = 0, b = 0, opacity] = middle(picture);
  expect([r > 250, g < 5, b < 5, opacity]).toEqual([true, true, true, 255]);
});

const svg = (content: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="40">${content}</svg>`;

test("of an SVG with scripts and foreign content a picture is left", async () => {
  const evil = `<script>fetch("https://evil.example")</script><rect width="40" height="40" fill="#0f0" onclick="alert(1)"/>`;
  const logo = await fetchLogo(guard, await publish(svg(evil)));
  if ("problem" in logo) throw new Error(logo.problem);
  expect(Buffer.from(logo.png).includes("evil")).toBe(false);
  expect(middle(PNG.sync.read(Buffer.from(logo.png)))).toEqual([0, 255, 0, 255]);
});

test("what an SVG refers to is neither read from this machine nor fetched", async () => {
  let asked = 0;
  const other = await serve((_, response) => {
    asked += 1;
    response.end();
  });
  const references = ["file:///etc/hostname", other, "xi.svg"];
  for (const reference of references) {
    const picture = await copied(svg(`<image xlink:href="${reference}" href="${reference}" width="40" height="40"/>`));
    expect(middle(picture)[3]).toBe(0);
  }
  expect(asked).toBe(0);
});

test("what was written into a picture beside its points is gone", async () => {
  const withText = await red(20, 20)
    .withExif({ IFD0: { Copyright: "hidden words" } })
    .jpeg()
    .toBuffer();
  const logo = await fetchLogo(guard, await publish(Buffer.concat([withText, Buffer.from("<script>")])));
  if ("problem" in logo) throw new Error(logo.problem);
  expect(Buffer.from(logo.png).includes("hidden")).toBe(false);
  expect(Buffer.from(logo.png).includes("script")).toBe(false);
});

/** A PNG whose header promises a picture of so many points, and holds none. */
async function promising(side: number): Promise<Uint8Array> {
  const png = await red(1, 1).png().toBuffer();
  png.writeUInt32BE(side, 16);
  png.writeUInt32BE(side, 20);
  return png;
}

const entities = `<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">${[..."bcdefghij"]
  .map((name, place) => `<!ENTITY ${name} "${`&${"abcdefghij"[place]};`.repeat(10)}">`)
  .join("")}]>`;

test.each<[string, () => Promise<Uint8Array | string> | string, RegExp]>([
  ["no picture", () => "<html>secret</html>", /^is not a PNG, JPEG, WebP, GIF or SVG picture$/],
  ["nothing", () => "", /^is not a PNG/],
  ["a picture in another format", () => red(9, 9).tiff().toBuffer(), /^is not a PNG/],
  [
    "half of a picture",
    async () => (await red(400, 400).png().toBuffer()).subarray(0, 200),
    /cannot be drawn, or is too large$/,
  ],
  ["a picture of 60 000 × 60 000", () => promising(60_000), /^is (not a PNG|a picture that cannot be drawn)/],
  ["an SVG of entities", () => entities + svg("<text>&j;</text>"), /^is (not a PNG|a picture that cannot be drawn)/],
  ["10 MB", () => "x".repeat(10_000_000), /^could not be read: /],
])("%s is no logo, and is told in our own words", async (_what, content, problem) => {
  const answer = await problemOf(await content());
  expect(answer).toMatchObject({ problem: expect.stringMatching(problem) });
  expect(JSON.stringify(answer)).not.toContain("secret");
});

test("an answer that is no success, a redirect above all, is not followed", async () => {
  const elsewhere = await publish(await red(9, 9).png().toBuffer());
  const address = await serve((_, response) => response.writeHead(302, { Location: elsewhere }).end());
  expect(await fetchLogo(guard, address)).toEqual({ problem: "could not be read: answered 302" });
});

test("an address inside of the platform's network is not asked", async () => {
  const strict = createAddressGuard({ allowCidrs: [] });
  let asked = 0;
  const address = await serve((_, response) => {
    asked += 1;
    response.end();
  });
  expect(await fetchLogo(strict, address)).toMatchObject({ problem: expect.any(String) });
  expect(await fetchLogo(strict, address.replace("http:", "https:"))).toMatchObject({ problem: expect.any(String) });
  expect(asked).toBe(0);
});

test("an address that does not answer costs five seconds", { timeout: 20_000 }, async () => {
  const address = await serve(() => undefined);
  const startedAt = performance.now();
  expect(await fetchLogo(guard, address)).toMatchObject({ problem: expect.stringMatching(/^could not be read: /) });
  expect(performance.now() - startedAt).toBeLessThan(8_000);
});
