import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { printable } from "../../src/commandLine.ts";
import { variables } from "../../src/config/variables.ts";
import { groups } from "../../src/operator/groups.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { SANDBOX_COMMAND } from "../../src/sandbox/options.ts";
import { SCENARIO_NAMES } from "../../src/sandbox/scenarios.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import {
  auditActs,
  bankRoles,
  callbackAlgs,
  callbackKinds,
  callbackStates,
  deepLinkContents,
  orderStatuses,
  participantKinds,
  paymentMessageStatuses,
  registerStatuses,
  scopes,
} from "../../src/wire/enums.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

const root = join(import.meta.dirname, "../..");
const unknownGuid = "00000000-0000-4000-8000-000000000000";

/** A core of which nothing may be asked. */
const noCore = { callbacks: {}, participants: {}, settlements: {} } as never;

/** Every command with the words that call it. */
const everyAction = Object.entries(groups).flatMap(([name, entry]) =>
  "run" in entry
    ? [{ words: [name], action: entry }]
    : Object.entries(entry.actions).map(([command, action]) => ({ words: [name, command], action })),
);

/** Runs the program itself, without any configuration but what is given; also answers the modules that it loaded. */
async function program(args: readonly string[], environment: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "dcm-program-"));
  const modulesFile = join(folder, "modules");
  try {
    const trace = ["--import", join(import.meta.dirname, "loadedModules.mjs")];
    const { status, stdout, stderr } = spawnSync(process.execPath, [...trace, join(root, "src/main.ts"), ...args], {
      encoding: "utf8",
      cwd: folder,
      env: { ...environment, LOADED_MODULES_FILE: modulesFile },
    });
    const modules = (await readFile(modulesFile, "utf8")).split("\n");
    return { status, stdout: stdout.trimEnd(), stderr: stderr.trimEnd(), modules };
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("help", () => {
  test.each(everyAction)("$words: every argument and option with its default, choices and bounds", async (one) => {
    const { code, lines } = await openConsole(noCore).run(...(one.words as [string]), "--help");
    expect(code).toBe(0);
    // Long lines are broken wherever there is a space.
    const text = lines.join(" ").replace(/\s+/g, " ");
    expect(text).toContain(one.action.help);
    for (const positional of one.action.positionals) {
      expect(text).toContain(positional.startsWith("[") ? positional : `<${positional}>`);
    }
    for (const [name, { value, help, choices = [], most, fallback }] of Object.entries(one.action.options)) {
      expect(text).toMatch(new RegExp(`--${name} ${value === undefined ? "" : "<"}`));
      expect(text).toContain(help);
      for (const choice of choices) expect(text).toContain(`"${choice}"`);
      if (most !== undefined) expect(text).toContain(`From 1 to ${most}.`);
      if (fallback !== undefined) expect(text).toContain(`default: "${fallback}")`);
    }
    expect(text).toContain("--json Print the answer as JSON.");
  });

  test.each(Object.entries(groups))(
    "%s --help lists all its commands, and without --help it is a wrong call",
    async (name, entry) => {
      if ("run" in entry) return;
      const { code, lines } = await openConsole(noCore).run(name, "--help");
      expect(code).toBe(0);
      for (const command of Object.keys(entry.actions))
        expect(lines.join("\n")).toMatch(new RegExp(`^  ${command} `, "m"));
      expect(await openConsole(noCore).run(name)).toMatchObject({ code: 2, lines: [], complaints: lines });
    },
  );

  test("the program lists every command and every variable of its environment", async () => {
    const { status, stdout } = await program(["--help"]);
    expect(status).toBe(0);
    for (const name of ["start", "sandbox", "migrate", "complete", ...Object.keys(groups)]) {
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
    }
    for (const { name, help } of variables) expect(stdout).toContain(`  ${name.padEnd(28)} ${help}`);
    const { status: wrong, stderr } = await program([]);
    expect([wrong, stderr]).toEqual([2, stdout]);
  });

  test("start, sandbox and migrate tell their options and do nothing", async () => {
    const start = await program(["start", "--help"]);
    expect([start.status, start.stdout]).toEqual([
      0,
      expect.stringMatching(/--role <ROLE,\.\.\.>.*\n?.*choices: "rest"/),
    ]);
    const sandbox = await program(["sandbox", "--help"]);
    expect(sandbox.status).toBe(0);
    for (const name of [...Object.keys(SANDBOX_COMMAND.options).map((option) => `--${option}`), ...SCENARIO_NAMES]) {
      expect(sandbox.stdout).toContain(name);
    }
    expect((await program(["migrate", "--help"])).status).toBe(0);
  });
});

test("choices of the tables are the names that the contract's values have", () => {
  const names = {
    "callbacks list --state": callbackStates,
    "callbacks list --kind": callbackKinds,
    "orders list --status": orderStatuses,
    "payments list --status": paymentMessageStatuses,
    "participants list --kind": participantKinds,
    "participants list --role": bankRoles,
    "participants update --deep-link-content": deepLinkContents,
    "registers list --status": registerStatuses,
    "services add --scope": scopes,
    "keys rotate --alg": callbackAlgs,
    "audit --act": auditActs,
  };
  const choices = everyAction.flatMap(({ words, action }) =>
    Object.entries(action.options).map(([option, spec]) => [
      `${words.join(" ")} --${option}`,
      spec.choices?.toSorted(),
    ]),
  );
  expect(Object.fromEntries(choices)).toMatchObject(
    Object.fromEntries(Object.entries(names).map(([option, table]) => [option, Object.keys(table).toSorted()])),
  );
});

describe("what is loaded", () => {
  const packagesOf = (modules: readonly string[]) =>
    [...new Set(modules.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []))].toSorted();
  const commandLinePackages = ["@bomb.sh/tab", "commander"];

  test.each([
    [["--help"], 0],
    [["--version"], 0],
    [["orders", "list", "--help"], 0],
    [["orders", "list", "--limit", "0"], 2],
    [["sandbox", "--settle"], 2],
    [["fly"], 2],
    [["complete", "--", "or"], 0],
  ])("%j: the tables and nothing of the gateway", async (args, wanted) => {
    const { status, modules } = await program(args);
    expect([status, packagesOf(modules)]).toEqual([wanted, commandLinePackages]);
  });

  test("a command of the operators: what calls the core, and not the core", async () => {
    const { status, stderr, modules } = await program(["keys", "list"], { CORE_URL: "http://127.0.0.1:1" });
    expect([status, stderr]).toEqual([1, expect.stringContaining("Is the gateway running?")]);
    const forCalls = [
      "@bufbuild/protobuf",
      "@bufbuild/protovalidate",
      "@connectrpc/connect",
      "@connectrpc/connect-node",
    ];
    expect(packagesOf(modules)).toEqual([...commandLinePackages, ...forCalls].toSorted());
  });

  test("what was compiled once is kept beside the packages for the next start", () => {
    const asked = ["-p", "require('node:module').getCompileCacheDir()"];
    const { stdout } = spawnSync(process.execPath, [join(root, "scripts/run.mjs"), ...asked], {
      encoding: "utf8",
      env: { PATH: process.env.PATH },
    });
    expect(stdout).toContain(join(root, "node_modules/.cache/compiled"));
  });

  test("a start with a wrong configuration: nothing but the log", async () => {
    const { status, stderr, modules } = await program(["start"], { REST_PORT: "http" });
    expect([status, stderr]).toEqual([2, expect.stringContaining("REST_PORT")]);
    expect(packagesOf(modules)).not.toContain("express");
  });
});

describe("completion", () => {
  const completed = async (...args: string[]) => {
    const { status, stdout } = await program(["complete", "--", ...args]);
    expect(status).toBe(0);
    // One a line with its description behind a tab; the last line is for the shell.
    return stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => line.split("\t")[0]);
  };

  test("commands, their commands, their options and the values of those", async () => {
    expect(await completed("")).toEqual(
      expect.arrayContaining(["start", "sandbox", "migrate", ...Object.keys(groups)]),
    );
    expect(await completed("re")).toEqual(["registers", "reconcile", "redrive"]);
    expect(await completed("registers", "ex")).toEqual(["export"]);
    expect(await completed("registers", "export", "--")).toEqual(["--dir", "--stdout", "--json", "--help"]);
    expect(await completed("callbacks", "list", "--state", "re")).toEqual(["review", "resolved"]);
  });

  test.each(["bash", "zsh", "fish"])("%s gets a script that asks the program", async (shell) => {
    const { status, stdout } = await program(["complete", shell]);
    expect([status, stdout]).toEqual([0, expect.stringContaining("dcm complete --")]);
  });
});

describe("wrong calls ask nothing of the core, say what is wrong and end with 2", () => {
  test.each<[string, string[], string]>([
    ["callbacks", ["forget"], "unknown command 'forget'"],
    ["callbacks", ["lst"], "(Did you mean list?)"],
    ["callbakcs", ["list"], "(Did you mean callbacks?)"],
    ["callbacks", ["toString"], "unknown command 'toString'"],
    ["callbacks", ["show"], "missing required argument 'GUID'"],
    ["callbacks", ["show", unknownGuid, "more"], "too many arguments"],
    ["callbacks", ["show", "7"], "GUID 7 is not a guid"],
    ["callbacks", ["list", "--state", "lost"], "lost is not one of waiting"],
    ["callbacks", ["list", "--state", "dead,lost"], "lost is not one of waiting"],
    ["callbacks", ["list", "--since", "yesterday"], "--since yesterday is not a time"],
    ["callbacks", ["list", "--limit", "1.5"], "It must be a whole number from 1 to 100000."],
    ["callbacks", ["list", "--limit", "100001"], "It must be a whole number from 1 to 100000."],
    ["callbacks", ["list", "--limit"], "argument missing"],
    [
      "callbacks",
      ["list", "--receiver", "--json"],
      "Its value is missing; one that begins like an option is given as --receiver=VALUE.",
    ],
    [
      "callbacks",
      ["list", "--receiver", "-h"],
      "Its value is missing; one that begins like an option is given as --receiver=VALUE.",
    ],
    ["callbacks", ["list", "--receiver", "Kobzar"], "--receiver Kobzar is not a guid"],
    ["callbacks", ["list", "--colour"], "unknown option '--colour'"],
    ["callbacks", ["list", "--limt", "5"], "(Did you mean --limit?)"],
    ["callbacks", ["replay-all"], "or --all for everything"],
    ["callbacks", ["replay-all", "--json"], "or --all for everything"],
    ["callbacks", ["resolve", unknownGuid], "required option '--note <TEXT>' not specified"],
    ["callbacks", ["resolve", unknownGuid, "--note", ""], "It must not be empty."],
    ["callbacks", ["resolve", unknownGuid, "--operator", "Olena", "--note", "done"], "unknown option '--operator'"],
    ["orders", ["show", unknownGuid], "unknown command 'show'"],
    ["orders", ["list", "--status", "paid"], "paid is not one of created"],
    ["orders", ["list", "--merchant", "shop"], "--merchant shop is not a guid"],
    [
      "orders",
      ["list", "--merchant", unknownGuid, "--bank", unknownGuid],
      "cannot be used with option '--bank <GUID>'",
    ],
    ["orders", ["list", "--ref", "7"], "--ref needs --merchant"],
    ["orders", ["list", "--day", "2026-01-31", "--since", "2h"], "cannot be used with option '--since <TIME>'"],
    [
      "payments",
      ["list", "--debtor", unknownGuid, "--creditor", unknownGuid],
      "cannot be used with option '--creditor <GUID>'",
    ],
    ["payments", ["list", "--day", "2026-01-31", "--until", "2h"], "cannot be used with option '--until <TIME>'"],
    ["participants", ["get", unknownGuid], "unknown command 'get'"],
    ["participants", ["show"], "give one of GUID, --bic, --uid and --kid"],
    ["participants", ["show", unknownGuid, "--kid", "k"], "give one of GUID, --bic, --uid and --kid"],
    ["participants", ["show", "--bic", "300001", "--kid", "k"], "cannot be used with option '--kid <KID>'"],
    ["participants", ["show", unknownGuid, "--kid=--k"], "give one of GUID, --bic, --uid and --kid"],
    ["participants", ["register-bank", "/no/such/file"], "/no/such/file cannot be read"],
    ["participants", ["update", unknownGuid], "give FILE, --requires-body-sha256 or --deep-link-content"],
    ["participants", ["update", unknownGuid, "--requires-body-sha256", "on"], "on is not one of yes, no"],
    [
      "participants",
      ["update", unknownGuid, "--version", "2"],
      "give FILE, --requires-body-sha256 or --deep-link-content",
    ],
    ["participants", ["suspend"], "missing required argument 'GUID'"],
    ["participants", ["suspend", "shop-1"], "GUID shop-1 is not a guid"],
    ["participants", ["resume", unknownGuid, "--version", "-1"], "--version -1 is not a whole number"],
    ["participants", ["close", unknownGuid, "--version", "1.5"], "--version 1.5 is not a whole number"],
    ["participants", ["add-key", unknownGuid], "missing required argument 'FILE'"],
    ["participants", ["add-key", unknownGuid, "/no/such/file"], "/no/such/file cannot be read"],
    ["participants", ["retire-key", unknownGuid], "missing required argument 'KID'"],
    ["participants", ["retire-key", unknownGuid, "-kid"], "unknown option '-kid'"],
    ["participants", ["retire-key", unknownGuid, "k", "--in", "tomorrow"], "--in tomorrow is not a duration"],
    ["participants", ["retire-key", unknownGuid, "k", "--id", "k"], "--id k is not a whole number"],
    ["services", ["add"], "missing required argument 'NAME'"],
    ["services", ["add", "x", "--scope", "everything"], "everything is not one of gateway, reader, operator"],
    ["registers", ["close", "31.01.2026"], "is not a Kyiv calendar day"],
    ["registers", ["list", unknownGuid, "--status", "owed"], "owed is not one of sent"],
    ["registers", ["list", unknownGuid, "--updated-since", "yesterday"], "--updated-since yesterday is not a time"],
    ["registers", ["show"], "missing required argument 'REGISTER_ID'"],
    ["registers", ["show", "3101261", "--payments", "--json"], "cannot be used with option '--json'"],
    ["registers", ["export", "3101261", "--stdout", "--dir", "/tmp"], "cannot be used with option '--dir <DIR>'"],
    ["registers", ["export", "3101261", "--stdout", "--json"], "cannot be used with option '--json'"],
    ["registers", ["reopen", "3101261"], "required option '--note <TEXT>' not specified"],
    ["registers", ["reopen", "3101261", "--operator", "Olena", "--note", "came back"], "unknown option '--operator'"],
    ["reconcile", ["--days", "0"], "It must be a whole number from 1 to 3660."],
    ["redrive", ["--limit", "0"], "It must be a whole number from 1 to 10000."],
    ["audit", ["statistics"], "too many arguments"],
  ])("%s %j", async (name, args, complaint) => {
    const { code, complaints } = await openConsole(noCore).run(name, ...args);
    expect(code).toBe(2);
    expect(complaints[0]).toContain(complaint);
    expect(complaints[1]).toMatch(/^`npm run dcm -- .*--help` lists every (command|option)\.$/);
  });

  test("--version behind a command is the command's own", async () => {
    const { status, stdout, stderr } = await program(["participants", "suspend", "me", "--version", "2"]);
    expect([status, stdout, stderr]).toEqual([2, "", expect.stringContaining("GUID me is not a guid")]);
  });

  test("an argument that begins with - comes behind --", async () => {
    const { code, complaints } = await openConsole(noCore).run("participants", "retire-key", "me", "--", "-kid");
    expect([code, complaints[0]]).toEqual([2, expect.stringContaining("GUID me is not a guid")]);
  });

  test("what is typed is shown and not obeyed", async () => {
    const { complaints } = await openConsole(noCore).run("callbacks", "\u001b[2Jlist");
    expect(complaints[0]).toContain("'\\u{1b}[2Jlist'");
  });
});

describe("what an operator does", () => {
  let platform: Platform;
  let console: ReturnType<typeof openConsole>;

  beforeAll(async () => {
    platform = await startPlatform();
    console = openConsole(platform.operators());
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  test("callbacks: a review is seen with its attempts and the endpoint's answer, resolved, replayed and delivered", async () => {
    platform.recipient.answers("credit", { status: 422, body: "no such account" });
    const paid = await platform.pays();
    await platform.endsAllCallbacks();
    const listed = await console.json("callbacks", "list", "--state", "review", "--kind", "credit", "--since", "1h");
    const [review] = listed.callbacks as { guid: string; payment_message_guid: string }[];
    expect(review?.payment_message_guid).toBe(paid);
    const guid = review?.guid ?? "";

    const shown = await console.run("callbacks", "show", guid);
    expect(shown.lines).toContainEqual(expect.stringMatching(/^1\/2 .* refused +422/));
    expect(shown.lines.slice(-2)).toEqual(["Answer to 1/2:", "  no such account"]);

    // By the name of the credential that the first start has made.
    expect((await console.run("callbacks", "resolve", guid, "--note", "settled by phone")).lines).toEqual([
      "The callback is resolved by operator.",
    ]);
    expect(await console.json("callbacks", "replay-all", "--kind", "credit")).toEqual({ replayed: 0 });

    platform.recipient.reset();
    expect((await console.json("callbacks", "replay", guid)).callback).toMatchObject({ guid, series: 2 });
    await platform.endsAllCallbacks();
    expect((await console.json("callbacks", "show", guid)).callback).toMatchObject({
      state: "CALLBACK_STATE_DELIVERED",
    });
    const again = await console.run("callbacks", "replay", guid);
    expect([again.code, again.complaints[0]]).toEqual([1, expect.stringMatching(/^CALLBACK_NOT_REPLAYABLE: /)]);
  });

  test("callbacks: a list longer than a page is read to its limit, and says that there is more", async () => {
    const { lines } = await console.run("callbacks", "list", "--limit", "2");
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toBe("There are more than 2; --limit shows more.");
    const { callbacks } = await console.json("callbacks", "list", "--limit", "100000");
    expect((callbacks as unknown[]).length).toBeGreaterThan(2);
    const nothing = await console.run("callbacks", "list", "--receiver", unknownGuid);
    expect(nothing.lines).toEqual(["No callback matches."]);
  });

  test("registers: a day is closed, listed, shown with its payments, exported, reconciled; only a paid one is reopened", async () => {
    const guid = await platform.pays({ amount: 1500.75 });
    await platform.endsAllCallbacks();
    const [decided] = await platform.rows<{ day: string }>(
      "select to_char(decided_at at time zone 'Europe/Kyiv', 'YYYY-MM-DD') as day from payment_message where guid = $1",
      guid,
    );
    const day = decided?.day ?? "";
    const tooEarly = await console.run("registers", "close", day);
    expect([tooEarly.code, tooEarly.complaints]).toEqual([
      1,
      [expect.stringMatching(/^DAY_IS_NOT_OVER: /), expect.stringContaining("--allow-open-day")],
    ]);
    const closed = await console.json("registers", "close", day, "--allow-open-day");
    const [register] = (closed.registers as { id: string; payment_count: number }[]).filter(
      (one) => one.payment_count > 0,
    );
    const shownBank = await console.json("participants", "show", "--bic", platform.initiator.bic);
    const bank = shownBank.participant as { guid: string; bic: string };
    const listed = await console.run("registers", "list", bank.guid);
    expect(listed.lines.join("\n")).toContain(register?.id);
    const id = register?.id ?? "";
    const shown = await console.run("registers", "show", id, "--payments");
    const shownLines = shown.written.split("\n");
    expect(shownLines).toContainEqual(expect.stringMatching(/^\d+ .* made +platform/));
    expect(shownLines).toContainEqual(expect.stringMatching(new RegExp(`^${guid} .* 1500\\.75 UAH `)));
    const exported = await console.run("registers", "export", id, "--stdout");
    const [, first, , ...payments] = exported.written.trimEnd().split("\r\n");
    expect(first).toMatch(new RegExp(`^"${id}","Dnipro Bank","${bank.bic}","Kobzar Bank"`));
    expect(payments).toHaveLength(register?.payment_count ?? 0);
    expect(payments).toContainEqual(expect.stringMatching(new RegExp(`^"[^"]+","${guid}",.*"1500\\.75"`)));

    const reopened = await console.run("registers", "reopen", id, "--note", "it came back");
    expect([reopened.code, reopened.complaints]).toEqual([
      1,
      [expect.stringMatching(/^REGISTER_NOT_PAID: /), expect.stringContaining("registers show")],
    ]);
    expect(await console.run("reconcile", "--days", "30")).toMatchObject({
      code: 0,
      lines: ["Registers, payments and acts of the last 30 days add up."],
    });
    await platform.rows("update settlement_register set total_fee_minor = total_fee_minor + 1 where id = $1", id);
    const off = await console.run("reconcile");
    expect([off.code, off.lines[1]]).toEqual([1, expect.stringMatching(new RegExp(`^${id} +register totals differ`))]);
  });
});

describe("a core that does not answer", () => {
  test("nobody listens: the address is named, and how to change it", async () => {
    const transport = remoteTransport("http://127.0.0.1:1", undefined);
    const console = openConsole(createClients(transport), { coreUrl: "http://127.0.0.1:1" });
    const { code, complaints } = await console.run("callbacks", "list");
    expect([code, complaints[1]]).toEqual([1, expect.stringContaining("sought at http://127.0.0.1:1")]);
    transport.close();
  });

  test("a wrong token: the variable is named", async () => {
    const transport = createRouterTransport(({ service }) => {
      service(CallbackService, {
        listCallbacks() {
          throw new ConnectError("the bearer token is missing or wrong", Code.Unauthenticated);
        },
      });
    });
    const { code, complaints } = await openConsole(createClients(transport)).run("callbacks", "list");
    expect([code, complaints[1]]).toEqual([1, expect.stringContaining("RPC_TOKEN")]);
  });
});

describe("a closing that takes long", () => {
  /** A core whose closing ends when the test says so; `patienceMs` is how long the caller would wait. */
  function slowCore() {
    const asked = Promise.withResolvers<{ patienceMs: number | undefined }>();
    const end = Promise.withResolvers<void>();
    const transport = createRouterTransport(({ service }) => {
      service(SettlementService, {
        async closeRegisters(_, { timeoutMs }) {
          asked.resolve({ patienceMs: timeoutMs() });
          await end.promise;
          return {};
        },
      });
    });
    return { clients: createClients(transport), asked: asked.promise, end: end.resolve };
  }

  test("is waited for as long as the core lets it run, and said to be still running", async () => {
    const core = slowCore();
    const complaints: string[] = [];
    const console = openConsole(core.clients, { complain: (line) => complaints.push(line), stillRunsEveryMs: 20 });
    const closing = console.json("registers", "close", "2026-01-31");
    expect((await core.asked).patienceMs).toBeGreaterThan(600_000);
    await expect.poll(() => complaints.length).toBeGreaterThan(1);
    core.end();
    expect(await closing).toEqual({ registers: [] });
    for (const line of complaints) expect(line).toMatch(/^The closing of 2026-01-31 still runs after \d+ s\./);
  });

  test("a short one says nothing of the kind", async () => {
    const core = slowCore();
    core.end();
    expect((await openConsole(core.clients).run("registers", "close", "2026-01-31")).complaints).toEqual([]);
  });
});

test("printable: nothing in a text of others moves the cursor, breaks the line or turns the direction", () => {
  expect(printable("a\u001b[31mb\r\nc\u202ed\u0000\u2028")).toBe("a\\u{1b}[31mb\\u{d}\\nc\\u{202e}d\\u{0}\\u{2028}");
});
