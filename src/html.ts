import { createHash } from "node:crypto";

/** Markup that may stand on a page as it is. Any other text in a page is a stranger's and is escaped. */
export class Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What can stand between the literal pieces of a page; what is not there (undefined, false) is nothing. */
export type Part = Html | string | number | undefined | false | readonly Part[];

/** A piece of a page: its literal text is markup, whatever is put into it is escaped, unless it is markup itself. */
export function html(pieces: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(pieces.reduce((text, piece, place) => text + markupOf(parts[place - 1]) + piece));
}

/** Our own text that is markup already: a style sheet, a script, a drawing that we made. */
export const trusted = (markup: string): Html => new Html(markup);

function markupOf(part: Part): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Html) return part.markup;
  if (Array.isArray(part)) return part.map(markupOf).join("");
  return escaped(String(part));
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** Names a style sheet or script in a content security policy, so that the browser runs it and nothing else. */
const digestSource = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/**
 * The headers of a page: nothing of others is loaded, only our own style sheet and script run, its forms lead where it says and no
 * further, nobody frames it (clickjacking), and nobody is told its address, which names an order.
 */
export function pageHeaders(own: { style: string; script?: string; formsTo?: readonly string[] }) {
  return {
    "Content-Security-Policy": [
      "default-src 'none'",
      "img-src 'self' data:",
      `style-src ${digestSource(own.style)}`,
      ...(own.script === undefined ? [] : [`script-src ${digestSource(own.script)}`, "connect-src 'self'"]),
      "base-uri 'none'",
      `form-action ${own.formsTo?.join(" ") ?? "'none'"}`,
      "frame-ancestors 'none'",
    ].join("; "),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
  } as const;
}
