import type { IncomingHttpHeaders } from "node:http";
import { failurePage, type PageFailure, paymentPageHeaders } from "./paymentPage.ts";
import { preferredLanguage, prefersPage } from "./suits.ts";
import { type Language, languages } from "./words.ts";

/** What a refusal is to somebody who only followed a link; whatever is not about the link passes. */
const failures: { readonly [status: number]: PageFailure } = { 400: "malformed", 404: "notFound" };

const inAllLanguages = (failure: PageFailure) =>
  Object.fromEntries(languages.map((language) => [language, failurePage(failure, language)])) as Record<
    Language,
    string
  >;

/** Made once: what an overload is refused with must cost next to nothing. */
const pages: Readonly<Record<PageFailure, Record<Language, string>>> = {
  notFound: inAllLanguages("notFound"),
  malformed: inAllLanguages("malformed"),
  unavailable: inAllLanguages("unavailable"),
};

/** A refusal of the payment page for a browser; undefined for a program, which gets the error as JSON. */
export function failureAnswer(status: number, headers: IncomingHttpHeaders, lang: unknown) {
  if (!prefersPage(headers, "json")) return undefined;
  const language = languages.find((known) => known === lang) ?? preferredLanguage(headers);
  return {
    type: "text/html",
    headers: paymentPageHeaders,
    text: pages[failures[status] ?? "unavailable"][language],
  };
}
