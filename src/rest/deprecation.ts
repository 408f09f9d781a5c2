import { operations } from "../../gen/rest/operations.ts";

/** As the contract has it: when an operation was deprecated, what follows it in the document, and when it ends. */
type Deprecation = { sinceSeconds: number; successorPointer: string; sunsetSeconds?: number };

/** What every answer of a deprecated operation says about it, refusals too: RFC 9745, and RFC 8594 when the end is fixed. */
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
