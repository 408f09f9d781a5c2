import { describe, expect, test } from "vitest";
import { isRefusal } from "../../src/domain/errors.ts";
import type { CallbackAlg } from "../../src/domain/participant.ts";
import {
  nextKeyChangeMs,
  platformKeyState,
  publishedKeys,
  type RotationWish,
  rotationOf,
  rotationProblem,
  signingKey,
} from "../../src/domain/platformKey.ts";

/** Hours on a line; the instants of keys and the clock are among them. */
const at = (hour: number) => new Date(Date.UTC(2026, 0, 1, hour));

const key = (
  kid: string,
  activeFrom: number,
  end?: [retireAt: number, unpublishAt: number],
  alg: CallbackAlg = "RS256",
) => ({
  kid,
  alg,
  activeFrom: at(activeFrom),
  retireAt: end === undefined ? null : at(end[0]),
  unpublishAt: end === undefined ? null : at(end[1]),
});

describe("platformKeyState", () => {
  const old = key("old", 0, [24, 48]);
  const next = key("next", 24);
  const withdrawn = key("withdrawn", 30, [20, 20]);
  const forgotten = key("forgotten", 0);
  const other = key("other", 24, undefined, "ES256");

  test.each([
    ["before it signs", old, -1, "announced"],
    ["from the instant at which it signs", old, 0, "active"],
    ["until its successor signs", old, 23, "active"],
    ["from the instant at which its successor signs", old, 24, "retiring"],
    ["as long as what it signed is verified", old, 47, "retiring"],
    ["from the instant at which it is not published", old, 48, "retired"],
    ["a successor that is announced", next, 23, "announced"],
    ["a successor in the same instant", next, 24, "active"],
    ["a key without an end", next, 1_000, "active"],
    ["a key that was taken back before it ever signed", withdrawn, 21, "retired"],
    ["a key without an end beside a newer one", forgotten, 24, "retiring"],
    ["a key beside a newer one of another algorithm", other, 24, "active"],
  ] as const)("%s", (_when, of, hour, state) => {
    expect(platformKeyState(of, [old, next, withdrawn, forgotten, other], at(hour))).toBe(state);
  });
});

test("nextKeyChangeMs: the nearest instant that is still to come, of any key", () => {
  const keys = [key("old", 0, [24, 48]), key("next", 30), key("endless", 1)];
  const next = (hour: number) => nextKeyChangeMs(keys, at(hour));
  expect([next(-1), next(0), next(23), next(24), next(47)]).toEqual(
    [0, 1, 24, 30, 48].map((hour) => at(hour).getTime()),
  );
  expect(next(48)).toBe(Number.POSITIVE_INFINITY);
});

test("platformKeyState: a key is replaced by a newer one of its own algorithm, and by no other", () => {
  const [first, next, other] = [key("first", 0), key("next", 24), key("other", 24, undefined, "ES256")];
  const state = (keys: (typeof first)[]) => platformKeyState(first, keys, at(30));
  expect([state([first, other]), state([first, next])]).toEqual(["active", "retiring"]);
});

test("platformKeyState: a key whose time is over signs nothing, though there is no other", () => {
  const last = key("last", 0, [24, 48]);
  expect(platformKeyState(last, [last], at(24))).toBe("retiring");
});

describe("what is published and what signs", () => {
  const keys = [
    key("EdDSA", 0, undefined, "EdDSA"),
    key("gone", -48, [-24, 0]),
    key("old", -24, [0, 24]),
    key("next", 24),
    key("now", 0),
    key("ES256", 1, undefined, "ES256"),
  ];
  const published = (hour: number) => publishedKeys(keys, at(hour)).map(({ kid }) => kid);

  test("RS256 first, and of each algorithm what signs", () => {
    expect(published(0)).toEqual(["now", "next", "old", "ES256", "EdDSA"]);
    expect(published(24)).toEqual(["next", "now", "ES256", "EdDSA"]);
  });

  test.each([
    ["RS256", -1, "old"],
    ["RS256", 0, "now"],
    ["RS256", 24, "next"],
    ["EdDSA", 0, "EdDSA"],
  ] as const)("%s at hour %i is signed with %s", (alg, hour, kid) => {
    expect(signingKey(keys, alg, at(hour))?.kid).toBe(kid);
  });

  test("the first key of an algorithm signs while it is announced: nothing waits for it", () => {
    expect(signingKey(keys, "ES256", at(0))?.kid).toBe("ES256");
  });

  test("where the active key cannot be used, the one before it signs while it is published", () => {
    const usable = keys.filter(({ kid }) => kid === "old");
    expect(signingKey(usable, "RS256", at(1))?.kid).toBe("old");
    expect(signingKey(usable, "RS256", at(24))).toBeUndefined();
  });
});

const wish = (changes: Partial<RotationWish> = {}): RotationWish => ({
  alg: "RS256",
  announceSeconds: 0,
  atOnce: false,
  ...changes,
});

describe("rotationOf", () => {
  const decide = (keys: ReturnType<typeof key>[], changes?: Partial<RotationWish>) =>
    rotationOf(keys, wish(changes), { now: at(10), maxAgeSeconds: 3_600 });
  const active = key("active", 0);

  test("the new key is announced for 24 hours; the old one signs until then and is published 24 hours longer", () => {
    const ends = [{ kid: "active", retireAt: at(34), unpublishAt: at(58) }];
    expect(decide([active])).toEqual({ activeFrom: at(34), retirements: ends });
  });

  test("as long as the operator says", () => {
    const ends = [{ kid: "active", retireAt: at(12), unpublishAt: at(36) }];
    expect(decide([active], { announceSeconds: 7_200 })).toEqual({ activeFrom: at(12), retirements: ends });
  });

  test("keys whose end is known keep it", () => {
    const retiring = key("retiring", -30, [0, 24]);
    const decided = decide([active, retiring]);
    expect(isRefusal(decided) || decided.retirements.map(({ kid }) => kid)).toEqual(["active"]);
  });

  test("a rotation that is under way is not overtaken by another one", () => {
    expect(decide([active, key("announced", 11)])).toEqual({
      refused: "KEY_ROTATION_UNDER_WAY",
      message: "the key announced is announced for RS256 and signs from 2026-01-01T11:00:00.000Z",
    });
    expect(decide([key("before", 0, [10, 34]), key("announced", 10)])).not.toHaveProperty("refused");
  });

  test("at once: nothing of before is published any more, whatever it was for", () => {
    const keys = [active, key("announced", 11), key("retiring", -30, [0, 24]), key("retired", -60, [-50, -30])];
    keys.push(key("ending", 0, [20, 44]));
    expect(decide(keys, { atOnce: true })).toEqual({
      activeFrom: at(10),
      retirements: [
        { kid: "active", retireAt: at(10), unpublishAt: at(10) },
        { kid: "announced", retireAt: at(10), unpublishAt: at(10) },
        { kid: "retiring", retireAt: at(0), unpublishAt: at(10) },
        { kid: "ending", retireAt: at(10), unpublishAt: at(10) },
      ],
    });
  });
});

test.each([
  [
    "shorter than receivers remember the keys",
    { announceSeconds: 3_599 },
    "3599 is too short: receivers may remember the keys for 3600 s (JWKS_MAX_AGE_SECONDS)",
  ],
  [
    "negative",
    { announceSeconds: -1 },
    "-1 is too short: receivers may remember the keys for 3600 s (JWKS_MAX_AGE_SECONDS)",
  ],
  ["longer than 30 days", { announceSeconds: 30 * 86_400 + 1 }, "is more than 2592000"],
  ["given for what is at once", { announceSeconds: 3_600, atOnce: true }, "is given, and at_once announces nothing"],
])("announce_seconds is refused when it is %s", (_what, changes, text) => {
  const field = "announce_seconds";
  const message = `${field} ${text}`;
  expect(rotationProblem(wish(changes), 3_600)).toEqual({ refused: "INVALID_REQUEST", field, message });
});

test.each([
  ["as long as receivers remember the keys", { announceSeconds: 3_600 }],
  ["30 days", { announceSeconds: 30 * 86_400 }],
  ["not given", {}],
  ["not given for what is at once", { atOnce: true }],
])("announce_seconds is good when it is %s", (_what, changes) => {
  expect(rotationProblem(wish(changes), 3_600)).toBeUndefined();
});
