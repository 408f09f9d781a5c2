import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";

type Source = AsyncIterable<string | Uint8Array>;

/** Pipes with back-pressure, so that little is held in memory; the output stays open. */
export async function writeTo(output: Writable, source: Source): Promise<void> {
  await pipeline(source, output, { end: false });
  // The pipeline does not wait for an output that stays open; what it still buffers would be lost with the process.
  await new Promise<void>((resolve, reject) => {
    output.write("", (error) => (error ? reject(error) : resolve()));
  });
}
