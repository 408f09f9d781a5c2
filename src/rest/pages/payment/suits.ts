import type { IncomingHttpHeaders } from "node:http";
import Negotiator from "negotiator";
import { type Language, languages } from "./words.ts";

// What suits the browser that asks, where its address does not say.

/** Whether the reader takes a page rather than JSON. Who takes both alike (curl, a health check) gets what is `usual` there. */
export function prefersPage(headers: IncomingHttpHeaders, usual: "page" | "json"): boolean {
  const offered = usual === "page" ? ["text/html", "application/json"] : ["application/json", "text/html"];
  const [taken = offered[0]] = new Negotiator({ headers }).mediaTypes(offered);
  return taken === "text/html";
}

/** The language that the browser prefers; Ukrainian where it knows neither. */
export function preferredLanguage(headers: IncomingHttpHeaders): Language {
  const [preferred] = new Negotiator({ headers }).languages([...languages]);
  return languages.find((language) => language === preferred) ?? languages[0];
}

/** The client hint if there is one, or else the user agent: those of phones contain "Mobi". */
export function isPhoneOf(headers: IncomingHttpHeaders): boolean {
  const hint = headers["sec-ch-ua-mobile"];
  return hint === "?1" || (hint !== "?0" && /Mobi/i.test(headers["user-agent"] ?? ""));
}

/** Whether the reader takes compressed answers. */
export function takesGzip(headers: IncomingHttpHeaders): boolean {
  return new Negotiator({ headers }).encodings(["gzip"]).includes("gzip");
}
