import type { IncomingHttpHeaders } from "node:http";
import { failurePage, type PageFailure, paymentPageHeaders } from "./paymentPage.ts";
import { preferredLanguage, prefersPage } from "./suits.ts";
import { languages } from "./words.ts";

/** What a refusal is to somebody who only followed a link; whatever is not about the link passes. */
const failures: { readonly [status: number]: PageFailure } = { 400: "malformed", 404: "notFound" };

/** A refusal of the payment page for a browser; undefined for a program, which gets the error as JSON. */
export function failureAnswer(status: number, headers: IncomingHttpHeaders, lang: unknown) {
  if (!prefersPage(headers, "json")) return undefined;
  const language = languages.find((known) => known === lang) ?? preferredLanguage(headers);
  return {
    type: "text/html",
    headers: paymentPageHeaders,
    text: failurePage(failures[status] ?? "unavailable", language),
  };
}
