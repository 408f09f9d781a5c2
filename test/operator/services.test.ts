import { mkdtemp, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ensureOperatorToken, operatorsToken, operatorTokenFile } from "../../src/operatorToken.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { openPlatform, operator } from "../core/platform.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dcm-operator-token-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

describe("the first operator's credential", () => {
  const now = new Date();

  async function open() {
    const platform = await openPlatform();
    onTestFinished(() => platform.close());
    const dataDir = await ownFolder();
    const secret = async (folder = dataDir) => (await readFile(operatorTokenFile(folder), "utf8")).trim();
    return { ...platform, dataDir, secret };
  }

  test("is made once, in a file that only its owner reads", async () => {
    const { core, dataDir, secret } = await open();
    await ensureOperatorToken(core, dataDir, now);
    const first = await secret();
    expect((await stat(operatorTokenFile(dataDir))).mode & 0o777).toBe(0o600);
    expect(await core.serviceOf(first)).toEqual({ name: "operator", scopes: ["operator", "reader"] });
    await ensureOperatorToken(core, dataDir, now);
    expect(await secret()).toBe(first);
    expect(await core.listCredentials()).toHaveLength(1);
  });

  test("is kept as a digest only", async () => {
    const { core, dataDir, rows, secret } = await open();
    await ensureOperatorToken(core, dataDir, now);
    const stored = JSON.stringify(await rows("select * from service_credential"));
    expect(stored).not.toContain(await secret());
  });

  test("is made good by the next start where a crash came between the file and the database", async () => {
    const { core, dataDir, secret } = await open();
    const written = "dcm_written-before-the-crash";
    await writeFile(operatorTokenFile(dataDir), `${written}\n`);
    await ensureOperatorToken(core, dataDir, now);
    expect([await secret(), (await core.serviceOf(written))?.name]).toEqual([written, "operator"]);
  });

  test("of several starts at once, on one folder and on others, one is made, and no file holds another one", async () => {
    const { core, secondCore, dataDir, secret } = await open();
    const elsewhere = await ownFolder();
    const second = await secondCore();
    await Promise.all([
      ensureOperatorToken(core, dataDir, now),
      ensureOperatorToken(second, dataDir, now),
      ensureOperatorToken(second, elsewhere, now),
    ]);
    expect(await core.listCredentials()).toHaveLength(1);
    const files = await Promise.allSettled([secret(), secret(elsewhere)]);
    const secrets = files.flatMap((file) => (file.status === "fulfilled" ? [file.value] : []));
    expect(secrets).toHaveLength(1);
    expect((await core.serviceOf(secrets[0] ?? ""))?.name).toBe("operator");
  });

  test("a secret that is taken is refused like a name that is, and ends no start", async () => {
    const { core } = await open();
    const wanted = { name: "first", scopes: ["reader"] as const, expiresAt: new Date(now.getTime() + 60_000) };
    await core.addCredential(operator, wanted, "dcm_the-same-secret");
    const again = await core.addCredential(operator, { ...wanted, name: "second" }, "dcm_the-same-secret");
    expect(again).toMatchObject({ refused: "CREDENTIAL_EXISTS" });
  });

  test("is not made again where its file was lost", async () => {
    const { core, dataDir } = await open();
    await ensureOperatorToken(core, dataDir, now);
    await unlink(operatorTokenFile(dataDir));
    await ensureOperatorToken(core, dataDir, now);
    await expect(stat(operatorTokenFile(dataDir))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

test("a credential's file that is configured and is not there is said, and no other one is taken for it", async () => {
  const dataDir = await ownFolder();
  await writeFile(operatorTokenFile(dataDir), "dcm_of-the-operator");
  const rpcTokenFile = join(dataDir, "no-such-file");
  const config = { rpcToken: undefined, rpcTokenFile, dataDir };
  await expect(operatorsToken(config)).rejects.toThrow(`RPC_TOKEN_FILE ${rpcTokenFile} is missing`);
  expect(await operatorsToken({ ...config, rpcTokenFile: undefined })).toBe("dcm_of-the-operator");
});

describe("services", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());
  const console = () => openConsole(platform.operators());

  /** What a service with this secret hears when it lists participants and when it closes a day. */
  async function codesOf(secret: string) {
    const transport = remoteTransport(platform.rpcUrl(), secret);
    const { participants, settlements } = createClients(transport);
    const codeOf = (call: Promise<unknown>) =>
      call.then(
        () => "done",
        ({ code }) => Code[code],
      );
    const codes = [
      await codeOf(participants.listParticipants({})),
      await codeOf(settlements.closeRegisters({ day: "2020-01-01" })),
    ];
    transport.close();
    return codes;
  }

  test("add prints a secret once, which is good for its scopes until it is revoked", async () => {
    const added = await console().run("services", "add", "statistics", "--scope", "reader", "--days", "7");
    expect(added.code).toBe(0);
    const [secret = ""] = added.lines;
    expect(secret).toMatch(/^dcm_[\w-]{43}$/);
    expect(await codesOf(secret)).toEqual(["done", "PermissionDenied"]);
    const { lines } = await console().run("services", "list");
    expect(lines.find((line) => line.startsWith("statistics"))).toMatch(/^statistics +reader +good +/);
    expect(lines.join("\n")).not.toContain(secret);
    expect((await console().run("services", "revoke", "statistics")).code).toBe(0);
    await expect.poll(() => codesOf(secret), { timeout: 5_000 }).toEqual(["Unauthenticated", "Unauthenticated"]);
    expect((await console().run("services", "list")).lines.join("\n")).toMatch(/statistics +reader +revoked/);
  });

  test.each<[string, string[], RegExp]>([
    ["a name that is in use", ["add", "operator", "--scope", "reader"], /name is in use/],
    ["a name that people cannot type", ["add", "a b", "--scope", "reader"], /name must have/],
    ["no scope", ["add", "nothing"], /scopes is missing/],
    ["a name of nobody", ["revoke", "nobody"], /no credential of this name/],
  ])("%s is refused", async (_what, args, complaint) => {
    const { code, complaints } = await console().run("services", ...args);
    expect([code, complaints.join(" ")]).toEqual([1, expect.stringMatching(complaint)]);
  });
});
