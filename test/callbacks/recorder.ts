import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export type Recorded = { path: string; headers: IncomingHttpHeaders; rawBody: Buffer };

/** An endpoint that keeps what came to it byte by byte and answers 200, after a while where that is asked for. */
export async function startRecorder(options: { delayMs?: number } = {}) {
  const recorded: Recorded[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    recorded.push({ path: request.url ?? "", headers: request.headers, rawBody: Buffer.concat(chunks) });
    setTimeout(() => response.end(), options.delayMs ?? 0);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    recorded,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
