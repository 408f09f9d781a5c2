import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";

type Source = AsyncIterable<string | Uint8Array>;

/** Writes without holding more than a little: the source waits for the output, which stays open. */
export async function writeTo(output: Writable, source: Source): Promise<void> {
  await pipeline(source, output, { end: false });
  // An output that is not ended is not waited for either: what it still holds would be lost with the process.
  await new Promise<void>((resolve, reject) => {
    output.write("", (error) => (error ? reject(error) : resolve()));
  });
}
