import { isRefusal } from "../../domain/errors.ts";
import type { Participant, PublicJwk } from "../../domain/participant.ts";
import { importKeySet, importPublicKey, type VerificationKey } from "../../sdk/keys.ts";
import type { CoreContext } from "../context.ts";
import { getParticipant, type ParticipantKey } from "../participants.ts";

/** A participant with the keys that verify its signatures. */
export type Party = { participant: Participant; keys: readonly VerificationKey[] };

export type Parties = {
  find(by: ParticipantKey): Promise<Party | undefined>;
  /** A merchant may have changed its published keys: reads them again, unless that was done just now. */
  refreshed(party: Party): Promise<Party>;
  /** Looks everybody up anew: somebody was changed since. */
  forget(): void;
};

/**
 * Long enough for thousands of requests. Whatever changes something is decided again where its party was changed since it was
 * looked up, so a key that was withdrawn can only read so long; and so long a merchant's new key may not be known yet.
 */
const lookUpMs = 2_000;
const keySetMs = 5 * 60_000;
/** A stranger who sends unknown kids must not make us read a merchant's address over and over. */
const keySetRetryMs = 30_000;
const maxCached = 10_000;

type Aged<T> = { value: Promise<T>; at: number };

export function createParties(context: CoreContext): Parties {
  const parties = new Map<string, Aged<Party | undefined>>();
  const imported = new Map<string, { version: number; keys: Promise<VerificationKey[]> }>();
  const published = new Map<string, Aged<VerificationKey[] | undefined>>();

  function registeredKeys(participant: Participant): Promise<VerificationKey[]> {
    const known = imported.get(participant.guid);
    if (known?.version === participant.version) return known.keys;
    const keys = importAll(participant.signingJwks);
    remember(imported, participant.guid, { version: participant.version, keys });
    return keys;
  }

  /** Undefined while the address has never answered with a key set. */
  function publishedKeys(url: string | null, maxAgeMs: number): Promise<VerificationKey[] | undefined> {
    if (url === null) return Promise.resolve(undefined);
    // When the address fails, what it answered last still counts: an outage must not bring back keys that were withdrawn.
    const last = published.get(url)?.value;
    return aged(published, url, maxAgeMs, async () => {
      const keys = await context.fetchJwks(url);
      // A set may well be empty: then the party has withdrawn every key.
      return "problem" in keys ? last : importKeySet({ keys });
    });
  }

  async function withKeys(participant: Participant, keySetMaxAgeMs: number): Promise<Party> {
    const published = await publishedKeys(participant.jwksUrl, keySetMaxAgeMs);
    // What a party publishes replaces what was registered: a key that it withdrew must not go on signing.
    return { participant, keys: published ?? (await registeredKeys(participant)) };
  }

  async function lookUp(by: ParticipantKey): Promise<Party | undefined> {
    const participant = await getParticipant(context, by);
    return isRefusal(participant) ? undefined : await withKeys(participant, keySetMs);
  }

  return {
    async find(by) {
      const [[name, value] = []] = Object.entries(by);
      const key = `${name} ${value}`;
      const party = await aged(parties, key, lookUpMs, () => lookUp(by));
      // Whoever is unknown now may be registered in the next moment.
      if (party === undefined) parties.delete(key);
      return party;
    },
    refreshed: ({ participant }) => withKeys(participant, keySetRetryMs),
    forget: () => parties.clear(),
  };
}

async function importAll(jwks: readonly PublicJwk[]): Promise<VerificationKey[]> {
  const results = await Promise.all(jwks.map(importPublicKey));
  return results.flatMap((result) => (result.ok ? [result.key] : []));
}

/** The remembered value while it is young, otherwise a new one; concurrent askers share one question. */
function aged<T>(cache: Map<string, Aged<T>>, key: string, maxAgeMs: number, ask: () => Promise<T>): Promise<T> {
  const known = cache.get(key);
  const now = performance.now();
  if (known && now - known.at < maxAgeMs) return known.value;
  const value = ask();
  remember(cache, key, { value, at: now });
  value.catch(() => cache.delete(key));
  return value;
}

function remember<T>(cache: Map<string, T>, key: string, value: T): void {
  cache.delete(key);
  cache.set(key, value);
  // A map keeps the order of insertion, so the first key is the oldest.
  if (cache.size > maxCached) for (const oldest of cache.keys()) return void cache.delete(oldest);
}
