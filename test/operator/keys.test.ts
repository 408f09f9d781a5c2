import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { masterKeysOf, olderKey } from "../../src/masterKey.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { execute, freshDatabase } from "../support/database.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dcm-keys-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const newMasterKey = () => randomBytes(32).toString("base64");

describe("keys", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());
  const console = () => openConsole(platform.operators());
  const listed = async () => (await console().run("keys", "list")).lines;

  test("list shows every key, and rotate what becomes of the old one", async () => {
    expect((await listed()).map((line) => line.split(/ +/).slice(1, 3).join(" ")).toSorted()).toEqual(
      ["ALG STATE", "ES256 active", "EdDSA active", "RS256 active"].toSorted(),
    );
    const rotated = await console().run("keys", "rotate");
    expect(rotated.code).toBe(0);
    expect(rotated.lines.join("\n")).toMatch(
      /^The RS256 key \S+ is announced and signs from \S+Z\.\nThe key \S+ signs until then/,
    );
    expect((await listed()).filter((line) => /RS256 +announced/.test(line))).toHaveLength(1);
  });

  test("rotate takes the algorithm and the time, and --at-once needs none", async () => {
    const announced = await console().json("keys", "rotate", "--alg", "ES256", "--announce", "2h");
    const { created_at, active_from } = announced.key as Record<string, string>;
    expect(Date.parse(active_from ?? "") - Date.parse(created_at ?? "")).toBe(7_200_000);
    const { code, lines } = await console().run("keys", "rotate", "--alg", "ES256", "--at-once");
    expect([code, lines[0]]).toEqual([0, expect.stringMatching(/^The ES256 key \S+ signs now\.$/)]);
    expect(lines.slice(1)).toEqual(Array(2).fill(expect.stringMatching(/is not published any more\.$/)));
  });

  test.each<[string, string[], number, RegExp]>([
    ["a rotation that is under way", ["rotate", "--alg", "EdDSA"], 1, /KEY_ROTATION_UNDER_WAY.*--at-once/],
    ["too short a time", ["rotate", "--announce", "59m"], 1, /INVALID_REQUEST: announce_seconds/],
    ["an algorithm that there is not", ["rotate", "--alg", "PS256"], 2, /PS256 is not one of/],
    ["a time that is none", ["rotate", "--announce", "soon"], 2, /--announce soon is not a time/],
    [
      "a time for what is at once",
      ["rotate", "--announce", "2h", "--at-once"],
      2,
      /cannot be used with option '--announce <TIME>'/,
    ],
  ])("%s is refused", async (_what, args, wanted, complaint) => {
    await console().run("keys", "rotate", "--alg", "EdDSA");
    const { code, complaints } = await console().run("keys", ...args);
    expect([code, complaints.join(" ")]).toEqual([wanted, expect.stringMatching(complaint)]);
  });
});

describe("a gateway as a process", () => {
  /** A database of this test, and what a gateway on it is started with. */
  async function deployment() {
    const { url, drop } = await freshDatabase();
    onTestFinished(() => drop());
    const dataDir = await ownFolder();
    const environment = { DATABASE_URL: url, DATA_DIR: dataDir, REST_PORT: "0", RPC_PORT: "0" };
    const program = (masterKey: string, command = ["start"], more: Record<string, string> = {}) =>
      runGatewayProcess(command, { ...environment, DCM_MASTER_KEY: masterKey, ...more });
    /** Starts a gateway, and stops it when it runs; answers the kids that it publishes and all that it wrote. */
    async function runs(masterKey: string, more: Record<string, string> = {}) {
      await using gateway = program(masterKey, ["start"], more);
      const [, rest] = await gateway.says(/"rest":"([^"]+)"/);
      const { keys } = (await (await fetch(`${rest}/api/v1/.well-known/jwks.json`)).json()) as {
        keys: { kid: string }[];
      };
      await gateway.kill("SIGTERM");
      return { kids: keys.map(({ kid }) => kid), output: gateway.output() };
    }
    async function ends(masterKey: string, command?: string[]) {
      await using ending = program(masterKey, command);
      return { code: await ending.ended, output: ending.output() };
    }
    return { url, dataDir, runs, ends };
  }

  test("with another master key than the keys have it does not start; recover makes new ones, and then it does", async () => {
    const { runs, ends } = await deployment();
    const [first, second] = [newMasterKey(), newMasterKey()];
    const before = await runs(first);
    const refused = await ends(second);
    expect(refused.code).toBe(1);
    expect(refused.output).toMatch(
      /start failed: .*fingerprint [0-9a-f]{16}, and this process has .*fingerprint [0-9a-f]{16}/,
    );
    expect(refused.output).toContain("npm run dcm -- keys recover");
    const recovered = await ends(second, ["keys", "recover"]);
    expect([recovered.code, recovered.output]).toEqual([
      0,
      expect.stringMatching(/^3 signing keys that cannot be opened/),
    ]);
    const after = await runs(second);
    expect(after.kids).toEqual(expect.arrayContaining(before.kids));
    expect(after.kids).toHaveLength(6);
    const again = await ends(second, ["keys", "recover"]);
    expect([again.code, again.output]).toEqual([1, expect.stringContaining("Nothing is to be recovered")]);
    for (const { output } of [before, refused, recovered, after]) {
      for (const key of [first, second]) {
        expect(output).not.toContain(key);
        expect(output).not.toContain(Buffer.from(key, "base64").toString("base64url"));
        expect(output).not.toContain(Buffer.from(key, "base64").toString("hex"));
      }
    }
  });

  test("the master key is changed by starting once with both, and the keys stay the same", async () => {
    const { runs } = await deployment();
    const [first, second] = [newMasterKey(), newMasterKey()];
    const { kids } = await runs(first);
    const changed = await runs(second, { DCM_MASTER_KEY_PREVIOUS: first });
    expect(changed.output).toContain("DCM_MASTER_KEY_PREVIOUS is not needed any more");
    expect((await runs(second)).kids).toEqual(kids);
  });

  test("the key file of a version before is taken over at the first start, and the log says that it may go", async () => {
    const { dataDir, runs } = await deployment();
    const { privateJwk } = await generateKeyPair("RS256", "from-the-file");
    const file = join(dataDir, "platform-key.json");
    await writeFile(file, JSON.stringify(privateJwk));
    const masterKey = newMasterKey();
    const { kids, output } = await runs(masterKey);
    expect([kids[0], kids.length]).toEqual(["from-the-file", 3]);
    expect(output).toMatch(/platform-key\.json.*may be deleted/);
    await rm(file);
    const again = await runs(masterKey);
    expect(again.kids).toEqual(kids);
    expect(again.output).not.toContain("may be deleted");
  });

  test("a worker apart without the keys' master key does not start either", async () => {
    const { url, dataDir } = await deployment();
    const more = {
      AMQP_URL: "amqp://127.0.0.1:1",
      PUBLIC_URL: "http://dcm.example",
      DATA_DIR: dataDir,
      DATABASE_URL: url,
    };
    await using worker = runGatewayProcess(["start", "--role", "worker"], more);
    expect(await worker.ended).toBe(2);
    expect(worker.output()).toContain("openssl rand -base64 32");
  });

  test("commands that start no role ask for no master key", async () => {
    const { url } = await deployment();
    await execute(url, "select 1");
    await using migrating = runGatewayProcess(["migrate"], { DATABASE_URL: url });
    expect([await migrating.ended, migrating.output()]).toEqual([0, "The schema is up to date.\n"]);
  });
});

describe("the master key of a gateway with a database of its own", () => {
  const config = (dataDir: string, changes = {}) => ({
    dataDir,
    databaseUrl: undefined,
    masterKey: undefined,
    masterKeyPrevious: undefined,
    ...changes,
  });

  test("is made once, in a file that only its owner reads", async () => {
    const dataDir = await ownFolder();
    const [first, second] = await Promise.all([masterKeysOf(config(dataDir)), masterKeysOf(config(dataDir))]);
    expect(second.current.id).toBe(first.current.id);
    const file = join(dataDir, "master-key");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(Buffer.from(await readFile(file, "utf8"), "base64")).toHaveLength(32);
    expect((await masterKeysOf(config(await ownFolder()))).current.id).not.toBe(first.current.id);
  });

  test("is the one that is configured, where one is, and no file is made", async () => {
    const dataDir = await ownFolder();
    const masterKey = Buffer.alloc(32, 1);
    const configured = await masterKeysOf(config(dataDir, { masterKey }));
    expect((await masterKeysOf(config(await ownFolder(), { masterKey }))).current.id).toBe(configured.current.id);
    await expect(stat(join(dataDir, "master-key"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("a file that holds no master key is said, without its content", async () => {
    const dataDir = await ownFolder();
    await writeFile(join(dataDir, "master-key"), "nearly a secret");
    const problem = await masterKeysOf(config(dataDir)).catch((error: Error) => error.message);
    expect(problem).toContain(join(dataDir, "master-key"));
    expect(problem).not.toContain("nearly");
  });
});

describe("the signing key of a version before", () => {
  test("is looked for where it was, and none is no problem", async () => {
    const dataDir = await ownFolder();
    expect(await olderKey({ platformKeyFile: undefined, dataDir })).toBeUndefined();
    const { privateJwk } = await generateKeyPair("RS256", "older");
    await writeFile(join(dataDir, "platform-key.json"), JSON.stringify(privateJwk));
    expect((await olderKey({ platformKeyFile: undefined, dataDir }))?.kid).toBe("older");
  });

  test("a file that is named and not there is said: another key would sign in its place", async () => {
    const dataDir = await ownFolder();
    const platformKeyFile = join(dataDir, "moved.json");
    await expect(olderKey({ platformKeyFile, dataDir })).rejects.toThrow(
      `PLATFORM_KEY_FILE ${platformKeyFile} does not exist`,
    );
  });

  test.each([
    ["no JSON", async () => '{"d": "nearly a secret'],
    ["no key", async () => '{"d": "nearly a secret"}'],
    ["a public key", async () => JSON.stringify((await generateKeyPair("RS256")).publicJwk)],
    ["a key of another algorithm", async () => JSON.stringify((await generateKeyPair("ES256")).privateJwk)],
  ])("a file with %s is said, without its content", async (_what, content) => {
    const dataDir = await ownFolder();
    await writeFile(join(dataDir, "platform-key.json"), await content());
    const problem = await olderKey({ platformKeyFile: undefined, dataDir }).then(
      String,
      (error: Error) => error.message,
    );
    expect(problem).toContain("platform-key.json");
    expect(problem).not.toContain("nearly");
  });
});
