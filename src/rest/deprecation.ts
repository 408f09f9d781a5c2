import { operations } from "../../gen/rest/operations.ts";

/** A deprecation as the contract states it: since when, the successor's place in the document, and the sunset. */
type Deprecation = { sinceSeconds: number; successorPointer: string; sunsetSeconds?: number };

/** The headers of every answer of a deprecated operation, refusals included: RFC 9745, and RFC 8594 when the sunset is fixed. */
export function deprecationHeaders(id: string, deprecation: Deprecation, publicUrl: string): Record<string, string> {
  const { sinceSeconds, successorPointer, sunsetSeconds } = deprecation;
  const links = [
    `<${publicUrl}${operations.getDocs.path}#${id}>; rel="deprecation"; type="text/html"`,
    `<${publicUrl}${operations.getOpenapiJson.path}${successorPointer}>; rel="successor-version"; type="application/json"`,
  ];
  return {
    Deprecation: `@${sinceSeconds}`,
    Link: links.join(", "),
    ...(sunsetSeconds !== undefined && { Sunset: new Date(sunsetSeconds * 1000).toUTCString() }),
  };
}
