import sharp from "sharp";
import { Client } from "undici";
import type { AddressGuard } from "./address.ts";
import { guardedConnector } from "./connector.ts";

const timeoutMs = 5_000;
/** A logo has some tens of kilobytes; what is larger is a mistake, or an attack. */
const maxBytes = 1_048_576;
/** A small file can hold a huge picture. */
const maxPixels = 4_096 * 4_096;
const drawingSeconds = 5;
/** Three times the size at which it is shown, for dense screens. */
const sidePixels = 120;

const formats: readonly (string | undefined)[] = ["png", "jpeg", "webp", "gif", "svg"];

/**
 * Fetches a participant's logo under the same address guard as callbacks (SSRF), without following redirects, and draws it anew as
 * a PNG of at most 120 × 120 pixels: no script, no metadata, no second file in it survives that. Answers a sentence where that is
 * not possible.
 */
export async function fetchLogo(guard: AddressGuard, url: string): Promise<{ png: Uint8Array } | { problem: string }> {
  const form = guard.checkForm(url);
  if (!form.ok) return form;
  try {
    return { png: await drawnAnew(await fetchBytes(guard, new URL(url))) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

async function fetchBytes(guard: AddressGuard, target: URL): Promise<Uint8Array> {
  const client = new Client(target.origin, { connect: guardedConnector(guard, timeoutMs), maxResponseSize: maxBytes });
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { statusCode, body } = await client.request({ method: "GET", path: target.pathname + target.search, signal });
    const bytes = await body.bytes();
    if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
    return bytes;
  } catch (error) {
    throw new Error(`could not be read: ${(error as Error).message}`);
  } finally {
    await client.destroy();
  }
}

const reading = { limitInputPixels: maxPixels, failOn: "error" } as const;

const formatOf = async (bytes: Uint8Array) => (await sharp(bytes, reading).metadata()).format;

async function drawnAnew(bytes: Uint8Array): Promise<Uint8Array> {
  // The library's own words may quote the file.
  if (!formats.includes(await formatOf(bytes).catch(() => undefined))) {
    throw new Error("is not a PNG, JPEG, WebP, GIF or SVG picture");
  }
  return sharp(bytes, reading)
    .resize({ width: sidePixels, height: sidePixels, fit: "inside" })
    .timeout({ seconds: drawingSeconds })
    .png({ compressionLevel: 9, palette: true })
    .toBuffer()
    .catch(() => {
      throw new Error("is a picture that cannot be drawn, or is too large");
    });
}
