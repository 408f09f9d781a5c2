import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createCore } from "../../src/core/core.ts";
import { isUnavailable } from "../../src/core/failure.ts";
import { openDatabase } from "../../src/db/database.ts";
import { accepted, bankRegistration, openPlatform, operator } from "../core/platform.ts";

/** A way to PostgreSQL whose connections can fall silent: nothing comes through any more, and nobody is told. */
async function wayTo(url: string) {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((outer) => {
    const inner = connect(Number(target.port), target.hostname);
    for (const socket of [outer, inner]) sockets.add(socket.on("error", () => socket.destroy()));
    outer.pipe(inner).pipe(outer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  target.hostname = "127.0.0.1";
  const way = new URL(target);
  way.port = String((server.address() as AddressInfo).port);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    url: way.href,
    /** Later connections work. */
    fallsSilent() {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

test("participants are found again after the one failure of a connection that fell silent", async () => {
  const platform = await openPlatform();
  onTestFinished(() => platform.close());
  const { guid } = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
  const way = await wayTo(platform.url);
  const db = await openDatabase({ url: way.url, maxConnections: 2, statementTimeoutMs: 100 });
  onTestFinished(() => db.close());
  const core = createCore({ ...platform.context, db });
  accepted(await core.getParticipant({ guid }));
  way.fallsSilent();
  await expect(core.getParticipant({ guid })).rejects.toSatisfy(isUnavailable);
  expect(accepted(await core.getParticipant({ guid })).guid).toBe(guid);
});
