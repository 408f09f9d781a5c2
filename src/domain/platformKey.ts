import { type Refusal, refuse } from "./errors.ts";
import { type CallbackAlg, callbackAlgs } from "./participant.ts";

/**
 * The states of a platform signing key. It is published for a while before it signs (announced), so that receivers that cache the
 * key set know it by then, and after its last signature (retiring), so that what it signed can still be verified.
 */
const platformKeyStates = ["announced", "active", "retiring", "retired"] as const;
export type PlatformKeyState = (typeof platformKeyStates)[number];

type PlatformKey = {
  kid: string;
  alg: CallbackAlg;
  createdAt: Date;
  /** From when on it signs. */
  activeFrom: Date;
  /** From when on it signs nothing; null until a successor is announced. */
  retireAt: Date | null;
  /** From when on it is not published; null likewise. */
  unpublishAt: Date | null;
};

type Instants = Omit<PlatformKey, "createdAt">;

const isOver = (instant: Date | null, now: Date) => instant !== null && instant <= now;

/**
 * The state of a key among all keys: of one algorithm only the newest due key signs, even if an older one is not past its
 * `retireAt`.
 */
export function platformKeyState(key: Instants, keys: readonly Instants[], now: Date): PlatformKeyState {
  if (isOver(key.unpublishAt, now)) return "retired";
  if (key.activeFrom > now) return "announced";
  if (isOver(key.retireAt, now)) return "retiring";
  const signs = (other: Instants) => other.activeFrom <= now && !isOver(other.retireAt, now);
  const isReplaced = keys.some((other) => other.alg === key.alg && signs(other) && other.activeFrom > key.activeFrom);
  return isReplaced ? "retiring" : "active";
}

/** The order of publication. A receiver that takes the first key of a set gets the one that signs most callbacks. */
const publishedStates = ["active", "announced", "retiring"] as const satisfies readonly PlatformKeyState[];

/** Everything that is published, RS256 first and of each algorithm what signs now. */
export function publishedKeys<Key extends Instants>(keys: readonly Key[], now: Date): Key[] {
  return callbackAlgs.flatMap((alg) => {
    const ofAlg = keys.filter((key) => key.alg === alg);
    return publishedStates.flatMap((state) => ofAlg.filter((key) => platformKeyState(key, ofAlg, now) === state));
  });
}

/**
 * The key that signs with an algorithm now. Where none is active, because the first key of the algorithm is still announced,
 * another published key signs: a receiver that does not know it fetches the key set again, and payments go on.
 */
export function signingKey<Key extends Instants>(keys: readonly Key[], alg: CallbackAlg, now: Date): Key | undefined {
  return publishedKeys(keys, now).find((key) => key.alg === alg);
}

/** The next instant after `now` at which the state of a key changes by itself; Infinity where none does. Epoch milliseconds. */
export function nextKeyChangeMs(keys: readonly Instants[], now: Date): number {
  const instants = keys.flatMap(({ activeFrom, retireAt, unpublishAt }) => [activeFrom, retireAt, unpublishAt]);
  const later = instants.map((instant) => instant?.getTime() ?? 0).filter((ms) => ms > now.getTime());
  return Math.min(Number.POSITIVE_INFINITY, ...later);
}

/** A day: enough for a receiver that fetches the key set once a day, and the upper limit of JWKS_MAX_AGE_SECONDS. */
export const daySeconds = 86_400;

/** How long a key is announced unless somebody says otherwise. */
const defaultAnnounceSeconds = daySeconds;
const mostAnnounceSeconds = 30 * daySeconds;

/**
 * How long a retired key stays published: a day for receivers that verify callbacks later from a queue, or a longer cache time of
 * the set.
 */
const retiringSeconds = (maxAgeSeconds: number) => Math.max(daySeconds, maxAgeSeconds);

export const secondsAfter = (instant: Date, seconds: number) => new Date(instant.getTime() + seconds * 1_000);

/** When a key that signs until `retireAt` is not published any more. */
export const unpublishAfter = (retireAt: Date, maxAgeSeconds: number) =>
  secondsAfter(retireAt, retiringSeconds(maxAgeSeconds));

export type RotationWish = {
  alg: CallbackAlg;
  /** 0: the default. */
  announceSeconds: number;
  /** For a key that may be compromised: the keys published before are withdrawn at once, and verify nothing any more. */
  atOnce: boolean;
};

export type Retirement = { kid: string; retireAt: Date; unpublishAt: Date };
export type Rotation = { activeFrom: Date; retirements: Retirement[] };

/** What is wrong with a requested rotation, or undefined. */
export function rotationProblem({ announceSeconds, atOnce }: RotationWish, maxAgeSeconds: number): Refusal | undefined {
  const field = "announce_seconds";
  if (atOnce) {
    return announceSeconds === 0
      ? undefined
      : refuse("INVALID_REQUEST", `${field} is given, and at_once announces nothing`, { field });
  }
  const seconds = announceSeconds || defaultAnnounceSeconds;
  if (seconds < maxAgeSeconds) {
    const why = `receivers may remember the keys for ${maxAgeSeconds} s (JWKS_MAX_AGE_SECONDS)`;
    return refuse("INVALID_REQUEST", `${field} ${seconds} is too short: ${why}`, { field });
  }
  return seconds > mostAnnounceSeconds
    ? refuse("INVALID_REQUEST", `${field} is more than ${mostAnnounceSeconds}`, { field })
    : undefined;
}

/** The instants that a rotation sets, given every key of the algorithm. The wish must have no `rotationProblem`. */
export function rotationOf(
  keys: readonly Instants[],
  { alg, announceSeconds, atOnce }: RotationWish,
  { now, maxAgeSeconds }: { now: Date; maxAgeSeconds: number },
): Rotation | Refusal {
  const published = keys.filter((key) => platformKeyState(key, keys, now) !== "retired");
  if (atOnce) {
    const retireAt = (key: Instants) => (key.retireAt !== null && key.retireAt < now ? key.retireAt : now);
    const retirements = published.map((key) => ({ kid: key.kid, retireAt: retireAt(key), unpublishAt: now }));
    return { activeFrom: now, retirements };
  }
  const announced = published.find((key) => platformKeyState(key, keys, now) === "announced");
  if (announced !== undefined) {
    const since = announced.activeFrom.toISOString();
    return refuse("KEY_ROTATION_UNDER_WAY", `the key ${announced.kid} is announced for ${alg} and signs from ${since}`);
  }
  const activeFrom = secondsAfter(now, announceSeconds || defaultAnnounceSeconds);
  const unpublishAt = unpublishAfter(activeFrom, maxAgeSeconds);
  const retirements = published
    .filter(({ retireAt }) => retireAt === null)
    .map(({ kid }) => ({ kid, retireAt: activeFrom, unpublishAt }));
  return { activeFrom, retirements };
}
