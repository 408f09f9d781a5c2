import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to an endpoint that can be closed: connections are then accepted, but what they say reaches nobody. */
export async function startGate() {
  const sockets = new Set<Socket>();
  let target: URL | undefined;
  const server = createServer((socket) => {
    const keep = (kept: Socket) => {
      sockets.add(kept);
      kept.on("error", () => kept.destroy());
      kept.on("close", () => sockets.delete(kept));
    };
    keep(socket);
    if (target === undefined) return;
    const inner = connect(Number(target.port), target.hostname);
    keep(inner);
    socket.pipe(inner).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => sockets.size,
    /** From now on, connections lead to this URL's server. */
    open(url: string) {
      target = new URL(url);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
