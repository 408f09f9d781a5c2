import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { type GroupName, groupHelp, groups, runOperator } from "../../src/operator/operator.ts";
import { printable } from "../../src/operator/table.ts";
import { createClients, remoteTransport } from "../../src/rpc/clients.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

const root = join(import.meta.dirname, "../..");
const unknownGuid = "00000000-0000-4000-8000-000000000000";

/** A core of which nothing may be asked. */
const noCore = { callbacks: {}, participants: {}, settlements: {} } as never;

describe("help", () => {
  test.each(Object.keys(groups) as GroupName[])(
    "%s --help names every command and option, and succeeds",
    async (name) => {
      const { code, lines } = await openConsole(noCore).run(name, "--help");
      expect([code, lines]).toEqual([0, groupHelp(name)]);
      const text = lines.join("\n");
      for (const [action, { positionals, options }] of Object.entries(groups[name].actions)) {
        expect(text).toContain([name, action, ...positionals].filter(Boolean).join(" "));
        for (const option of Object.keys(options)) expect(text).toContain(`--${option}`);
      }
    },
  );

  /** Runs the program itself, without any configuration. */
  function program(...args: string[]) {
    const node = join(root, "node_modules/.bin/node");
    const { status, stdout } = spawnSync(node, ["src/main.ts", ...args], { cwd: root, encoding: "utf8", env: {} });
    return { status, stdout: stdout.trimEnd() };
  }

  test("the program itself knows every command", () => {
    const { status, stdout } = program("--help");
    expect(status).toBe(0);
    for (const name of Object.keys(groups)) expect(stdout).toContain(`  ${name} `);
    expect(program("redrive", "--help")).toEqual({ status: 0, stdout: groupHelp("redrive").join("\n") });
  });

  test.each(["start", "migrate"])("%s --help starts nothing and tells what the program's help does", (command) => {
    expect(program(command, "--help")).toEqual(program("--help"));
  });
});

describe("wrong calls ask nothing of the core, say what is wrong and end with 2", () => {
  test.each<[GroupName, string[], string]>([
    ["callbacks", ["forget"], "callbacks forget is not a command"],
    ["callbacks", ["toString"], "callbacks toString is not a command"],
    ["callbacks", ["show"], "GUID is missing"],
    ["callbacks", ["show", unknownGuid, "more"], "more is one argument too many"],
    ["callbacks", ["show", "7"], "GUID 7 is not a guid"],
    ["callbacks", ["list", "--state", "lost"], "--state lost is not one of waiting"],
    ["callbacks", ["list", "--since", "yesterday"], "--since yesterday is not a time"],
    ["callbacks", ["list", "--limit", "1.5"], "--limit 1.5 is not a whole number"],
    ["callbacks", ["list", "--receiver", "Kobzar"], "--receiver Kobzar is not a guid"],
    ["callbacks", ["list", "--colour"], "Unknown option '--colour'"],
    ["callbacks", ["replay-all"], "or --all for everything"],
    ["callbacks", ["resolve", unknownGuid], "--note TEXT is needed"],
    ["callbacks", ["resolve", unknownGuid, "--operator", "Olena", "--note", "done"], "Unknown option '--operator'"],
    ["orders", ["show", unknownGuid], "orders show is not a command"],
    ["orders", ["list", "--status", "paid"], "--status paid is not one of created"],
    ["orders", ["list", "--merchant", "shop"], "--merchant shop is not a guid"],
    ["orders", ["list", "--merchant", unknownGuid, "--bank", unknownGuid], "give one of --merchant, --bank"],
    ["orders", ["list", "--ref", "7"], "--ref needs --merchant"],
    ["orders", ["list", "--day", "2026-01-31", "--since", "2h"], "--day goes with neither --since nor --until"],
    [
      "payments",
      ["list", "--debtor", unknownGuid, "--creditor", unknownGuid],
      "give one of --merchant, --debtor, --creditor",
    ],
    ["payments", ["list", "--day", "2026-01-31", "--until", "2h"], "--day goes with neither --since nor --until"],
    ["participants", ["get", unknownGuid], "participants get is not a command"],
    ["participants", ["show"], "give one of GUID, --bic, --uid and --kid"],
    ["participants", ["show", unknownGuid, "--kid", "k"], "give one of GUID, --bic, --uid and --kid"],
    ["participants", ["register-bank", "/no/such/file"], "/no/such/file cannot be read"],
    ["participants", ["update", unknownGuid], "give FILE, --requires-body-sha256 or --deep-link-content"],
    ["participants", ["update", unknownGuid, "--requires-body-sha256", "on"], "on is not one of no, yes"],
    [
      "participants",
      ["update", unknownGuid, "--version", "2"],
      "give FILE, --requires-body-sha256 or --deep-link-content",
    ],
    ["participants", ["suspend"], "GUID is missing"],
    ["participants", ["suspend", "shop-1"], "GUID shop-1 is not a guid"],
    ["participants", ["resume", unknownGuid, "--version", "-1"], "ambiguous"],
    ["participants", ["close", unknownGuid, "--version", "1.5"], "--version 1.5 is not a whole number"],
    ["participants", ["add-key", unknownGuid], "FILE is missing"],
    ["participants", ["add-key", unknownGuid, "/no/such/file"], "/no/such/file cannot be read"],
    ["participants", ["retire-key", unknownGuid], "KID is missing"],
    ["participants", ["retire-key", unknownGuid, "k", "--in", "tomorrow"], "--in tomorrow is not a duration"],
    ["participants", ["retire-key", unknownGuid, "k", "--id", "k"], "--id k is not a whole number"],
    ["services", ["add"], "NAME is missing"],
    ["services", ["add", "x", "--scope", "everything"], "--scope everything is not one of gateway, reader, operator"],
    ["registers", ["close", "31.01.2026"], "is not a Kyiv calendar day"],
    ["registers", ["list", unknownGuid, "--status", "owed"], "--status owed is not one of sent"],
    ["registers", ["list", unknownGuid, "--updated-since", "yesterday"], "--updated-since yesterday is not a time"],
    ["registers", ["show"], "REGISTER_ID is missing"],
    ["registers", ["show", "3101261", "--payments", "--json"], "--payments has no JSON"],
    ["registers", ["export", "3101261", "--stdout", "--dir", "/tmp"], "it goes with neither --dir nor --json"],
    ["registers", ["export", "3101261", "--stdout", "--json"], "it goes with neither --dir nor --json"],
    ["registers", ["reopen", "3101261"], "--note TEXT is needed"],
    ["registers", ["reopen", "3101261", "--operator", "Olena", "--note", "came back"], "Unknown option '--operator'"],
    ["reconcile", ["--days", "0"], "--days 0 is not a whole number"],
    ["redrive", ["--limit", "0"], "--limit 0 is not a whole number"],
  ])("%s %j", async (name, args, complaint) => {
    const { code, complaints } = await openConsole(noCore).run(name, ...args);
    expect(code).toBe(2);
    expect(complaints[0]).toContain(complaint);
    expect(complaints[1]).toContain(`${name} --help`);
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
    await platform.settles();
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
    await platform.settles();
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
    await platform.settles();
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
    const console = openConsole(createClients(transport), "http://127.0.0.1:1");
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
    const lines: string[] = [];
    const complaints: string[] = [];
    const closing = runOperator("registers", ["close", "2026-01-31", "--json"], {
      clients: core.clients,
      coreUrl: "http://core.example",
      print: (line) => lines.push(line),
      complain: (line) => complaints.push(line),
      stillRunsEveryMs: 20,
    });
    expect((await core.asked).patienceMs).toBeGreaterThan(600_000);
    await expect.poll(() => complaints.length).toBeGreaterThan(1);
    core.end();
    expect([await closing, lines.map((line) => JSON.parse(line))]).toEqual([0, [{ registers: [] }]]);
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
