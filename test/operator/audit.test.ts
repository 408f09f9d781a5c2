import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AuditAct, AuditActSchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { auditActs as knownActs } from "../../src/domain/audit.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { auditActs, nameOf } from "../../src/wire/enums.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
  await console().run("services", "add", "statistics", "--scope", "reader", "--days", "7");
  await console().run("services", "revoke", "statistics");
});
afterAll(() => platform?.[Symbol.asyncDispose]());
const console = () => openConsole(platform.operators());

type Entry = { number: string; at: string; actor: string; act: string; object: string; [digest: string]: string };
const entriesOf = async (...args: string[]) => (await console().json("audit", ...args)).entries as Entry[];

test("tells who did what to what, newest first, with the beginning of the digests", async () => {
  const { code, lines } = await console().run("audit", "--object", "statistics");
  expect(code).toBe(0);
  const [heading, revoked, added, ...others] = lines;
  expect(heading).toMatch(/^NUMBER +AT +ACTOR +ACT +OBJECT +BEFORE +AFTER$/);
  const [, made = ""] = /operator +credential_added +statistics +– +([0-9a-f]{12})$/.exec(added ?? "") ?? [];
  expect(made).not.toBe("");
  expect(revoked).toMatch(new RegExp(`operator +credential_revoked +statistics +${made} +[0-9a-f]{12}$`));
  expect(others).toEqual([]);
});

test("--json has the whole digests, which whoever reads the database comes to as well", async () => {
  const [revoked, added] = await entriesOf("--object", "statistics");
  const [row] = await platform.rows<{ digest: string }>(
    "select encode(audit_digest(c), 'hex') as digest from service_credential c where name = 'statistics'",
  );
  expect(revoked).toEqual({
    number: expect.stringMatching(/^\d+$/),
    at: expect.stringMatching(/^\d{4}-.*Z$/),
    actor: "operator",
    act: "AUDIT_ACT_CREDENTIAL_REVOKED",
    object: "statistics",
    digest_before: added?.digest_after,
    digest_after: row?.digest,
  });
  expect(added?.digest_before).toBe("");
});

test("the first operator's credential was made by the platform", async () => {
  expect(await entriesOf("--actor", "platform", "--act", "credential_added")).toMatchObject([{ object: "operator" }]);
});

test("participants that operators register are theirs, and so are the keys that they register with them", async () => {
  const registered = await entriesOf("--actor", "operator", "--act", "participant_registered");
  const { participants } = await platform.operators().participants.listParticipants({});
  const guids = participants.map(({ guid }) => guid);
  expect(guids).toHaveLength(3);
  expect(registered.map(({ object }) => object).sort()).toEqual(guids.sort());
  const keys = await entriesOf("--actor", "operator", "--act", "participant_key_added");
  expect(keys.map(({ object }) => object).sort()).toEqual(guids);
  const shouted = await entriesOf("--object", (guids[0] ?? "").toUpperCase());
  expect(shouted.map(({ act, object }) => [act, object])).toEqual([
    ["AUDIT_ACT_PARTICIPANT_KEY_ADDED", guids[0]],
    ["AUDIT_ACT_PARTICIPANT_REGISTERED", guids[0]],
  ]);
});

test("is restricted to acts and to a time, and says when there is more", async () => {
  const acts = await entriesOf("--act", "credential_revoked,credential_added");
  expect(acts.map(({ object }) => object)).toEqual(["statistics", "statistics", "operator"]);
  expect(await entriesOf("--since", "1h")).not.toEqual([]);
  expect((await console().run("audit", "--until", "1h")).lines).toEqual(["No entry matches."]);
  const { lines } = await console().run("audit", "--limit", "2");
  expect(lines).toHaveLength(4);
  expect(lines.at(-1)).toBe("There are more than 2; --limit shows more.");
});

test("redrive says who asked and how many tickets were moved", async () => {
  expect((await console().run("redrive", "--limit", "7")).code).toBe(0);
  const [done, asked] = await entriesOf("--act", "redrive_asked", "--act", "redrive_done");
  expect([asked, done]).toMatchObject([
    { actor: "operator", act: "AUDIT_ACT_REDRIVE_ASKED", object: "7" },
    { actor: "operator", act: "AUDIT_ACT_REDRIVE_DONE", object: "0" },
  ]);
});

test("pages follow each other without a gap, and a token of another list is none", async () => {
  const { audit, participants } = platform.operators();
  const all = (await audit.listAuditEntries({ pageSize: 500 })).entries.map(({ number }) => number);
  const paged: bigint[] = [];
  let pageToken = "";
  do {
    const page = await audit.listAuditEntries({ pageSize: 2, pageToken });
    paged.push(...page.entries.map(({ number }) => number));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(paged).toEqual(all);
  const { nextPageToken } = await participants.listParticipants({ pageSize: 1 });
  const wrong = audit.listAuditEntries({ pageToken: nextPageToken });
  await expect(wrong).rejects.toMatchObject({ code: Code.InvalidArgument });
});

test.each<[string, string[], RegExp]>([
  ["an act that is none", ["--act", "praised"], /praised is not one of participant_registered, /],
  ["a time that is none", ["--since", "yesterday"], /--since yesterday is not a time/],
  ["a limit that is none", ["--limit", "0"], /whole number from 1 to 100000/],
  ["an argument", ["statistics"], /too many arguments/],
])("%s is a wrong call", async (_what, args, complaint) => {
  const { code, complaints } = await console().run("audit", ...args);
  expect([code, complaints.join(" ")]).toEqual([2, expect.stringMatching(complaint)]);
});

test("--help names every option and every act", async () => {
  const { code, lines } = await console().run("audit", "--help");
  const help = lines.join("\n");
  expect(code).toBe(0);
  for (const option of ["actor", "act", "object", "since", "until", "limit", "json"])
    expect(help).toContain(`--${option}`);
  for (const act of knownActs) expect(help).toContain(act);
});

test("a reader may read the trail, a gateway may not", async () => {
  const codeOf = async (scope: string) => {
    const added = await console().run("services", "add", `as-${scope}`, "--scope", scope);
    const transport = remoteTransport(platform.rpcUrl(), added.lines[0]);
    const answer = await createClients(transport)
      .audit.listAuditEntries({})
      .then(
        () => "done",
        ({ code }) => Code[code],
      );
    transport.close();
    return answer;
  };
  expect([await codeOf("reader"), await codeOf("gateway")]).toEqual(["done", "PermissionDenied"]);
});

test("the acts on the wire are those of the domain", () => {
  const onTheWire = AuditActSchema.values.filter(({ number }) => number !== AuditAct.UNSPECIFIED);
  // Numbers are given out once and for all, so the wire's order is that of their coming.
  for (const { number, localName } of onTheWire) expect(nameOf(auditActs, number)).toBe(localName.toLowerCase());
  expect(onTheWire.map(({ localName }) => localName.toLowerCase()).sort()).toEqual([...knownActs].sort());
});
