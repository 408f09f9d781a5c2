/** What gives a JSON text its shape: its brackets, and its strings, each with the colon that makes it a name. */
const SHAPE = /"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g;

/**
 * The first member that an object of a JSON text names twice, as a path like `fri.frn`, or undefined. Parsers keep the last
 * one or the first one, so such a text means different things to different readers. `value` is what the text was parsed to.
 */
export function memberNamedTwice(text: string, value: unknown): string | undefined {
  // A member that was named twice is printed once, so the texts differ. Most texts come from JSON.stringify and end here.
  if (printed(value) === text) return undefined;
  /** The objects and lists that are open at this point, with the member names of each so far. */
  const open: { names: Set<string>; last: string }[] = [];
  for (const [token] of text.matchAll(SHAPE)) {
    if (token === "{" || token === "[") open.push({ names: new Set(), last: "" });
    else if (token === "}" || token === "]") open.pop();
    else if (token.endsWith(":")) {
      // A text that was parsed has names in objects only.
      const object = open.at(-1) as (typeof open)[number];
      const name = JSON.parse(token.slice(0, -1)) as string;
      object.last = name;
      if (object.names.has(name)) return open.flatMap(({ last }) => (last === "" ? [] : [last])).join(".");
      object.names.add(name);
    }
  }
  return undefined;
}

/** The value as JSON text; undefined if it is nested too deeply to be printed (it can be parsed all the same). */
function printed(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
