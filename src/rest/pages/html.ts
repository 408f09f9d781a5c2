import { createHash } from "node:crypto";

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const style = `
  :root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
  body.payment { max-width: 26rem; text-align: center; }
  .amount { font-size: 2rem; font-weight: 600; margin: 0.5rem 0; }
  .qr { background: #fff; display: inline-block; padding: 0.5rem; }
  .qr svg { display: block; width: 16rem; height: 16rem; }
  .banks { list-style: none; padding: 0; }
  .banks a { display: block; border: 1px solid; border-radius: 0.5rem; margin: 0.5rem 0; padding: 0.75rem; }
  .banks img { height: 1.5rem; vertical-align: middle; }
  section { border-top: 1px solid; margin-top: 1.5rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { border-bottom: 1px solid; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
  code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
`;

const styleHash = createHash("sha256").update(style).digest("base64");

/** Content security policy: no external resources but logos, no scripts, no framing (clickjacking). */
export const pageHeaders = {
  "Content-Security-Policy": [
    "default-src 'none'",
    "img-src https: data:",
    `style-src 'sha256-${styleHash}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "Referrer-Policy": "no-referrer",
  "X-Frame-Options": "DENY",
} as const;

/** A whole page. The title is escaped here; the content is HTML whose texts are escaped already. */
export function page(options: { lang: string; title: string; kind: "payment" | "docs"; content: string }): string {
  return [
    "<!doctype html>",
    `<html lang="${options.lang}">`,
    '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(options.title)}</title><style>${style}</style></head>`,
    `<body class="${options.kind}"><main>${options.content}</main></body>`,
    "</html>",
  ].join("\n");
}
