import { LRUCache } from "lru-cache";
import { create } from "qrcode";
import { type Html, html } from "../../../html.ts";

/** The light border that scanners need, in modules (ISO/IEC 18004). */
const quietZone = 4;

/** A page is read again at each change and by each phone; the code of its order stays the same. 6 KB each. */
const drawn = new LRUCache<string, Html>({ max: 1_000 });

/** A link as a QR code, level M: a picture with its quiet zone, dark modules only. */
export function qrCode(link: string): Html {
  const known = drawn.get(link);
  if (known !== undefined) return known;
  const picture = draw(link);
  drawn.set(link, picture);
  return picture;
}

function draw(link: string): Html {
  const { size, data } = create(link, { errorCorrectionLevel: "M" }).modules;
  const side = size + 2 * quietZone;
  return html`<svg viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges" aria-hidden="true"><path fill="#000" d="${runs(size, data)}"/></svg>`;
}

/** The dark modules of each row, joined to runs: an SVG path of rectangles one module high. */
function runs(size: number, data: Uint8Array): string {
  let path = "";
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; ) {
      const from = x;
      while (x < size && data[y * size + x]) x += 1;
      if (x > from) path += `M${from + quietZone} ${y + quietZone}h${x - from}v1H${from + quietZone}z`;
      else x += 1;
    }
  }
  return path;
}
