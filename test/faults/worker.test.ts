import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { SandboxMerchant } from "../../src/sandbox/participants.ts";
import { type GatewayProcess, runGatewayProcess } from "../support/gatewayProcess.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startGate } from "./gate.ts";

describe("a worker process that ends", { timeout: 90_000 }, () => {
  let platform: Platform;
  let worker: GatewayProcess;

  beforeAll(async () => {
    platform = await startPlatform({
      queue: "rabbitmq",
      roles: ["rest", "core"],
      environment: { REPUBLISH_AFTER_MS: "500", CALLBACK_TIMEOUT_MS: "20000" },
    });
  });
  beforeEach(async () => {
    worker = await startWorkerProcess();
  });
  afterEach(async () => {
    await worker.kill("SIGKILL");
    for (const participant of [platform.initiator, platform.recipient, platform.merchant]) participant.reset();
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  async function startWorkerProcess(): Promise<GatewayProcess> {
    const started = runGatewayProcess(["start", "--role", "worker"], { ...platform.environment, LOG_LEVEL: "info" });
    await started.says(/the gateway runs/);
    return started;
  }

  /** Lets the leases of dead processes lapse now: the database's clock is the only one that counts, and it does not wait for tests. */
  const lapseLeases = () => platform.rows("update callback set wake_at = now() where state = 'in_flight'");

  async function attemptsOf(guid: string, kind: string) {
    const rows = await platform.rows<{ outcome: string }>(
      `select a.outcome from callback_attempt a join callback c on c.guid = a.callback_guid
       where c.payment_message_guid = $1 and c.kind = $2 order by a.attempt`,
      guid,
      kind,
    );
    return rows.map((row) => row.outcome);
  }

  /** The Pay-in of the merchant follows that of the bank, and is leased in the statement that inserts it. */
  async function expectBornClaimed(guid: string): Promise<void> {
    const rows = await platform.rows(
      `select state, attempts, updated_at = created_at as born from callback
       where payment_message_guid = $1 and kind = 'pay_in_merchant'`,
      guid,
    );
    expect(rows).toEqual([{ state: "in_flight", attempts: 1, born: true }]);
  }

  async function killAndReplace(): Promise<void> {
    await worker.kill("SIGKILL");
    worker = await startWorkerProcess();
    await lapseLeases();
  }

  async function expectPaidAfterOneLostAttempt(guid: string, merchant: SandboxMerchant, calls: number) {
    await platform.endsAllCallbacks();
    expect(await attemptsOf(guid, "pay_in_merchant")).toEqual(["lost", "accepted"]);
    const heard = merchant.calls("pay-in", { guid });
    expect(heard).toHaveLength(calls);
    expect(new Set(heard.map((call) => call.callbackGuid)).size).toBe(1);
    expect((await platform.initiator.client().getPaymentMessage(guid)).body).toMatchObject({ status: "success" });
  }

  test("killed after the claim: the attempt is counted as lost, and the next one is the first that the receiver hears", async () => {
    const { recipient, initiator } = platform;
    await using gate = await startGate();
    const merchant = await platform.newMerchant(
      { bank: recipient },
      { callbackUrls: { base: gate.url, payIn: `${gate.url}/pay-in` } as never },
    );
    const guid = await initiator.pays(await merchant.order());
    await vi.waitFor(() => expect(gate.connections()).toBe(1), { timeout: 20_000 });
    await expectBornClaimed(guid);
    gate.open(merchant.url);
    await killAndReplace();
    await expectPaidAfterOneLostAttempt(guid, merchant, 1);
  });

  test("killed during the POST: the receiver hears it again under the same guid", async () => {
    const { merchant } = platform;
    merchant.answers("pay-in", "hang", 200);
    const guid = await platform.pays();
    await merchant.receives("pay-in", { guid });
    await expectBornClaimed(guid);
    await killAndReplace();
    await expectPaidAfterOneLostAttempt(guid, merchant, 2);
  });

  test("killed after the answer, before recording: the receiver hears it again, and the payment succeeds once", async () => {
    const { merchant } = platform;
    const lock = new pg.Client({ connectionString: platform.databaseUrl });
    await lock.connect();
    // With the row locked the answer cannot be recorded, however fast the worker is.
    merchant.answers(
      "pay-in",
      async (call) => {
        await lock.query("begin");
        await lock.query("select from callback where guid = $1 for update", [call.callbackGuid]);
        return 200;
      },
      200,
    );
    const guid = await platform.pays();
    await merchant.receives("pay-in", { guid, answered: 200 });
    await vi.waitFor(async () => expect(await blockedStatements("pid")).toBeGreaterThan(0), { timeout: 20_000 });
    await worker.kill("SIGKILL");
    // What has been sent would be carried out although its sender is dead, if its connection did not end.
    await blockedStatements("pg_terminate_backend(pid)");
    await lock.end();
    await expectBornClaimed(guid);
    await killAndReplace();
    await expectPaidAfterOneLostAttempt(guid, merchant, 2);
  });

  async function blockedStatements(each: string): Promise<number> {
    const blocked = await platform.rows(
      `select ${each} from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return blocked.length;
  }

  test("SIGTERM: the attempt under way is finished and recorded, and the process ends with 0", async () => {
    const { merchant } = platform;
    merchant.answers("pay-in", { status: 200, delayMs: 1_000 });
    const guid = await platform.pays();
    await vi.waitFor(() => expect(merchant.calls("pay-in", { guid })).toHaveLength(1), { timeout: 20_000 });
    await expectBornClaimed(guid);
    await worker.kill("SIGTERM");
    expect(await worker.ended).toBe(0);
    expect(await attemptsOf(guid, "pay_in_merchant")).toEqual(["accepted"]);
    worker = await startWorkerProcess();
    await platform.endsAllCallbacks();
    expect(merchant.calls("pay-in", { guid })).toHaveLength(1);
  });
});
