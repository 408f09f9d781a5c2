import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export type Recorded = { path: string; headers: IncomingHttpHeaders; rawBody: Buffer };

/** An endpoint that keeps what came to it byte by byte, for tests about the form of callbacks, and answers 200. */
export async function startRecorder() {
  const recorded: Recorded[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    recorded.push({ path: request.url ?? "", headers: request.headers, rawBody: Buffer.concat(chunks) });
    response.end();
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
