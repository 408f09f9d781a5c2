import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { markTokenUsed, type PartyToken, tokenProblem } from "../../src/core/accessTokens.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { Database } from "../../src/db/database.ts";
import { databaseFailure } from "../../src/db/failure.ts";
import { accepted, bankRegistration, openPlatform, operator, type Platform, tokenOf } from "./platform.ts";

let platform: Platform;
let db: Database;
let participantGuid: string;
let otherGuid: string;

beforeAll(async () => {
  platform = await openPlatform();
  db = platform.context.db;
  const register = async () => accepted(await platform.core.registerParticipant(operator, bankRegistration())).guid;
  participantGuid = await register();
  otherGuid = await register();
});
afterAll(() => platform.close());

const partyToken = (...token: Parameters<typeof tokenOf>): PartyToken => ({ participantGuid, ...tokenOf(...token) });
const problemOf = (token: PartyToken, participantVersion = 1) =>
  db.transaction((sql) => tokenProblem(sql, { ...token, participantVersion }));
const keep = (token: PartyToken) => db.transaction((sql) => markTokenUsed(sql, token));

describe("tokenProblem", () => {
  test("an unused token is good for any request, a used one for its own request only", async () => {
    expect(await problemOf(partyToken("mine", 1))).toBeUndefined();
    await keep(partyToken("mine", 1));
    expect(await problemOf(partyToken("mine", 1))).toBeUndefined();
    expect(await problemOf(partyToken("mine", 2))).toMatchObject({ refused: "TOKEN_REPLAYED", field: "jti" });
  });

  test("a used token is another party's as well", async () => {
    await keep(partyToken("common", 1));
    const other = { ...partyToken("common", 2), participantGuid: otherGuid };
    expect(await problemOf(other)).toBeUndefined();
  });

  test("a used token whose request is not known is good for nothing", async () => {
    await keep(partyToken("older"));
    await platform.rows("update used_access_token set request_digest = null where jti = 'older'");
    expect(await problemOf(partyToken("older"))).toMatchObject({ refused: "TOKEN_REPLAYED" });
  });

  test("a token that is too old by the database's clock is refused, used or not", async () => {
    const old = partyToken("old", 1, new Date(Date.now() - 301_000));
    expect(await problemOf(old)).toMatchObject({ refused: "TOKEN_STALE" });
    await keep(old);
    expect(await problemOf(old)).toMatchObject({ refused: "TOKEN_STALE" });
  });

  test.each([
    ["another version of its party verified", async () => ({ token: partyToken("of an earlier version"), version: 2 })],
    [
      "nobody that is registered signed",
      async () => ({ token: { ...partyToken("of nobody"), participantGuid: randomUUID() }, version: 1 }),
    ],
  ])("a token that %s has to be verified anew", async (_, made) => {
    const { token, version } = await made();
    await expect(problemOf(token, version)).rejects.toThrow(PartyChanged);
  });
});

describe("markTokenUsed", () => {
  test("the same request may keep its token again", async () => {
    await keep(partyToken("twice", 1));
    await keep(partyToken("twice", 1));
    expect(await platform.rows("select from used_access_token where jti = 'twice'")).toHaveLength(1);
  });

  test.each([
    ["another request used up", "of another", 2],
    ["an unknown request used up", "of nobody", 1],
  ])("a token that %s is a lost race, and what else the transaction stored is undone", async (_, jti, request) => {
    await keep(partyToken(jti, 1));
    await platform.rows("update used_access_token set request_digest = null where jti = 'of nobody'");
    const both = db.transaction(async (sql) => {
      await markTokenUsed(sql, partyToken(`before ${jti}`));
      await markTokenUsed(sql, partyToken(jti, request));
    });
    expect(databaseFailure(await both.catch((error: unknown) => error))).toBe("lost_race");
    expect(await platform.rows("select from used_access_token where jti = $1", `before ${jti}`)).toEqual([]);
  });

  // On the other pool: the two transactions hold every connection of theirs.
  const waiting = () =>
    db.hot({
      name: "",
      text: "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    });

  test("of two requests that keep one token at the same moment, the second waits and loses", async () => {
    const first = Promise.withResolvers<void>();
    const firstKept = Promise.withResolvers<void>();
    const winner = db.transaction(async (sql) => {
      await markTokenUsed(sql, partyToken("raced", 1));
      firstKept.resolve();
      await first.promise;
    });
    await firstKept.promise;
    const loser = keep(partyToken("raced", 2)).catch((error: unknown) => error);
    await expect.poll(waiting).toHaveLength(1);
    first.resolve();
    await winner;
    expect(databaseFailure(await loser)).toBe("lost_race");
  });
});
