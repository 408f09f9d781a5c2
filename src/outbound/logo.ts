import type { AddressGuard } from "./address.ts";
import { fetchPublished } from "./fetch.ts";

/** A logo has some tens of kilobytes; what is larger is a mistake, or an attack. */
const maxBytes = 1_048_576;
/** A small file can hold a huge picture. */
const maxPixels = 4_096 * 4_096;
const drawingSeconds = 5;
/** Three times the size at which it is shown, for dense screens. */
const sidePixels = 120;

const formats: readonly (string | undefined)[] = ["png", "jpeg", "webp", "gif", "svg"];

/**
 * Fetches a participant's logo and draws it anew as a PNG of at most 120 × 120 pixels: no script, no metadata, no second file in it
 * survives that. Answers a sentence where that is not possible.
 */
export async function fetchLogo(guard: AddressGuard, url: string): Promise<{ png: Uint8Array } | { problem: string }> {
  try {
    return { png: await drawnAnew(await fetchPublished(guard, url, maxBytes)) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

const reading = { limitInputPixels: maxPixels, failOn: "error" } as const;

async function drawnAnew(bytes: Uint8Array): Promise<Uint8Array> {
  // Loaded with the first logo: most processes draw none, and its libraries take memory and time to start.
  const { default: sharp } = await import("sharp");
  const formatOf = async () => (await sharp(bytes, reading).metadata()).format;
  // The library's own words may quote the file.
  if (!formats.includes(await formatOf().catch(() => undefined))) {
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
