import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPlatform } from "../support/platform.ts";
import { findPythonGrpc, makeStubs, type PythonGrpc } from "../support/pythonGrpc.ts";

// A client of another language, with stubs as its tools make them from proto/ and nothing of ours besides.

const root = resolve(import.meta.dirname, "../..");
let python: PythonGrpc;
let stubs: string;

beforeAll(async () => {
  python = await findPythonGrpc();
  stubs = await mkdtemp(join(tmpdir(), "dcm-test-python-"));
  const ours = globSync("**/*.proto", { cwd: join(root, "proto") });
  // What every maker of clients has: the well-known types, and the standard details of errors.
  const standard = join(root, "node_modules/google-proto-files");
  await makeStubs(python, stubs, [join(root, "proto"), standard], ours);
  await makeStubs(python, stubs, [standard], ["google/rpc/status.proto", "google/rpc/error_details.proto"]);
}, 240_000);
afterAll(() => rm(stubs, { recursive: true, force: true }));

test("a Python client onboards, orders, pays, sees success, lists the register and reads a refusal", async () => {
  await using platform = await startPlatform();
  const flow = [
    join(import.meta.dirname, "flow.py"),
    new URL(platform.rpcUrl()).host,
    platform.operatorToken ?? "",
    stubs,
  ];
  const { stdout } = await promisify(execFile)(python.python, flow, { timeout: 50_000 });
  const told = JSON.parse(stdout);
  expect(told).toEqual({
    order: expect.stringMatching(/^[0-9a-f-]{36}$/),
    guid: expect.stringMatching(/^[0-9a-f-]{36}$/),
    status: "PAYMENT_MESSAGE_STATUS_SUCCESS",
    refusal: {
      code: "ALREADY_EXISTS",
      reason: "ERROR_REASON_PAYMENT_MESSAGE_EXISTS",
      payment_message_guid: told.guid,
      standard: {
        reason: "PAYMENT_MESSAGE_EXISTS",
        domain: "dcm",
        metadata: { field: "order_id", payment_message_guid: told.guid },
      },
    },
    registers: [{ total: 2_150, payments: 1 }],
    callbacks: expect.any(Number),
  });
  // Pay-in to the bank and to the merchant, credit and pay-out.
  expect(told.callbacks).toBeGreaterThanOrEqual(3);
});
