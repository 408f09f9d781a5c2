// Runs the executable flows of the contract (openapi/dcm.arazzo.yaml) on a platform of their own, which is gone afterwards.
// Use: npm run flows, or for one of them with every request and answer: npm run flows -- --workflow settlement --verbose

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApp } from "../src/app.ts";
import { readConfig, roles } from "../src/config.ts";
import { createLog } from "../src/observe/log.ts";
import { operatorTokenFile, readToken } from "../src/operatorToken.ts";
import { remoteTransport } from "../src/rpc/clients.ts";
import { registerBank, registerMerchant } from "../src/sandbox/onboarding.ts";
import { SANDBOX_MASTER_KEY } from "../src/sandbox/options.ts";
import { startBank, startMerchant } from "../src/sandbox/participants.ts";
import { closeDays } from "../src/sandbox/settlement.ts";
import { createClients } from "../src/wire/coreClients.ts";
import { runRespect } from "./flows/respect.ts";
import { startSigner } from "./flows/signer.ts";

async function main(args: readonly string[]): Promise<number> {
  const stopping = new AbortController();
  // The platform and its PostgreSQL are cleaned up however the run ends.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stopping.abort());
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), "dcm-flows-"));
  cleanup.defer(() => rm(dataDir, { recursive: true, force: true }));
  // PostgreSQL may run as another account than ours, and must reach its own folder inside.
  await chmod(dataDir, 0o711);
  const read = readConfig(
    roles,
    {},
    {
      DATA_DIR: dataDir,
      DCM_MASTER_KEY: SANDBOX_MASTER_KEY,
      REST_HOST: "127.0.0.1",
      REST_PORT: "0",
      RPC_PORT: "0",
      CALLBACK_ALLOW_CIDRS: "127.0.0.0/8",
      LOG_LEVEL: "warn",
    },
  );
  if (!read.ok) throw new Error(read.problems.join("; "));
  process.stderr.write("Starting the platform …\n");
  const app = await startApp(read.config, createLog(read.config.logLevel));
  cleanup.defer(() => app.stop());
  const transport = remoteTransport(app.urls.rpc, await readToken(operatorTokenFile(dataDir)));
  cleanup.defer(async () => transport.close());
  const { participants, settlements } = createClients(transport);

  const startedAt = new Date();
  const platform = { participants, restUrl: app.urls.rest };
  const initiator = await startBank({ name: "Dnipro Bank", roles: ["initiator"] });
  cleanup.defer(initiator.stop);
  const recipient = await startBank({ name: "Kobzar Bank", roles: ["recipient"] });
  cleanup.defer(recipient.stop);
  const merchant = await startMerchant({ name: "Kyiv Books", bank: recipient });
  cleanup.defer(merchant.stop);
  await registerBank(platform, initiator);
  await registerBank(platform, recipient);
  await registerMerchant(platform, merchant);

  const closeDay = () => closeDays(settlements, startedAt);
  const signer = await startSigner({ initiator, recipient, merchant, closeDay });
  cleanup.defer(signer.stop);
  return await runRespect({ rest: app.urls.rest, signer: signer.url }, args, { stopping: stopping.signal });
}

process.exitCode = await main(process.argv.slice(2));
