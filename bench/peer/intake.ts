import { serveCommands } from "../child.ts";
import { openPool, type PeerOptions, startPeer } from "./server.ts";

// Intake as most teams would write it: one transaction a request, nothing grouped, and no delivery at all.

serveCommands({
  start: (options: PeerOptions) => startPeer(options, openPool(options.databaseUrl), async () => {}),
});
