import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// A REST edge in a process of its own knows neither the database nor the operator's credential.

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

async function credential(scope: Scope): Promise<string> {
  const expiresAt = timestampFromDate(new Date(Date.now() + 3_600_000));
  const wanted = { name: `rest-${randomUUID()}`, scopes: [scope], expiresAt };
  return (await platform.operators().credentials.addCredential(wanted)).secret;
}

/** Starts a REST edge with a credential; answers its address. */
async function startEdge(secret: string): Promise<string> {
  const folder = join(tmpdir(), `dcm-edge-${randomUUID()}`);
  const edge = runGatewayProcess(["start", "--role", "rest"], {
    REST_HOST: "127.0.0.1",
    REST_PORT: "0",
    PUBLIC_URL: "http://dcm.example",
    DATA_DIR: folder,
    PLATFORM_KEY_FILE: platform.environment.PLATFORM_KEY_FILE ?? "",
    CORE_URL: platform.rpcUrl(),
    RPC_TOKEN: secret,
    LOG_LEVEL: "info",
  });
  onTestFinished(async () => {
    await edge.kill("SIGTERM");
    await rm(folder, { recursive: true, force: true });
  });
  const [, url = ""] = await edge.says(/"rest":"([^"]+)"/);
  return url.replace("localhost", "127.0.0.1");
}

async function payThrough(url: string): Promise<string> {
  const participants = [platform.initiator, platform.recipient, platform.merchant];
  onTestFinished(() => {
    for (const participant of participants) participant.joins({ url: platform.url() });
  });
  for (const participant of participants) participant.joins({ url });
  return platform.pays();
}

test("with a gateway's credential it takes orders and payment messages", async () => {
  const url = await startEdge(await credential(Scope.GATEWAY));
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  await payThrough(url);
  await platform.settles();
});

test("with a reader's credential it may change nothing", async () => {
  const url = await startEdge(await credential(Scope.READER));
  const before = await platform.rows("select count(*) from payment_order");
  await expect(payThrough(url)).rejects.toThrow("500");
  expect(await platform.rows("select count(*) from payment_order")).toEqual(before);
});

test("with none that is good it is not ready, and says why", async () => {
  const url = await startEdge("dcm_a-secret-of-nobody");
  const answer = await fetch(`${url}/readyz`);
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("credential (RPC_TOKEN)")]);
});
