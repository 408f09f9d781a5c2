import { LRUCache } from "lru-cache";
import { answerCache, cachedAnswer } from "../../answerCache.ts";
import { isRefusal } from "../../domain/errors.ts";
import { isGood, type Participant, type ParticipantKey } from "../../domain/participant.ts";
import { importPublicKey, type VerificationKey } from "../../sdk/keys.ts";
import type { CoreContext } from "../context.ts";
import { hurryKeySet, rereadOnDemandMs } from "../keySets.ts";
import { getParticipant, type ParticipantName } from "../participants.ts";

/** A key that verifies a party's signatures until it is retired. */
export type PartyKey = VerificationKey & Pick<ParticipantKey, "id" | "retireAt">;

/** A participant with the keys that verify its signatures. */
export type Party = { participant: Participant; keys: readonly PartyKey[] };

export type Parties = {
  find(by: ParticipantName): Promise<Party | undefined>;
  /**
   * To be called when a party's signature does not verify: looks it up past the cache, because it may have a new key, and answers
   * it when it was changed, otherwise undefined. The key set of a party that publishes one is read again soon, in the background.
   */
  changed(party: Party): Promise<Party | undefined>;
  /** Empties the cache, because somebody was changed. */
  forget(): void;
};

/**
 * The TTL of the cache: long enough for thousands of requests. Changes are decided again by the stored version (`PartyChanged`), so
 * a withdrawn key is accepted for this long for reads only; and for this long a new key may not be known yet.
 */
const lookUpMs = 2_000;
const maxCached = 10_000;

export function createParties(context: CoreContext): Parties {
  const parties = answerCache<Party | undefined>(lookUpMs, maxCached);
  const imported = new LRUCache<string, { version: number; keys: Promise<PartyKey[]> }>({ max: maxCached });
  const hurried = answerCache<void>(rereadOnDemandMs, maxCached);
  // Look-ups past the cache, at most two for a party: the one that is running, and the next one, which all later callers share.
  const asked = new Map<string, Promise<Party | undefined>>();
  const asking = new Map<string, Promise<Party | undefined>>();

  function importedKeys(participant: Participant): Promise<PartyKey[]> {
    const known = imported.get(participant.guid);
    if (known?.version === participant.version) return known.keys;
    const keys = importAll(participant.keys.filter(({ use }) => use === "sig"));
    imported.set(participant.guid, { version: participant.version, keys });
    return keys;
  }

  async function lookUp(by: ParticipantName): Promise<Party | undefined> {
    const participant = await getParticipant(context, by);
    return isRefusal(participant) ? undefined : { participant, keys: await importedKeys(participant) };
  }

  /**
   * Single flight: a look-up that begins after this call, never two at a time for one party, so strangers cannot cause a flood of
   * them.
   */
  function freshParty(guid: string): Promise<Party | undefined> {
    const waiting = asked.get(guid);
    if (waiting !== undefined) return waiting;
    const next = (asking.get(guid) ?? Promise.resolve(undefined))
      .catch(() => undefined)
      .then(async () => {
        asked.delete(guid);
        asking.set(guid, next);
        try {
          return await lookUp({ guid });
        } finally {
          if (asking.get(guid) === next) asking.delete(guid);
        }
      });
    asked.set(guid, next);
    return next;
  }

  return {
    async find(by) {
      const [[name, value] = []] = Object.entries(by);
      const key = `${name} ${value}`;
      const party = await cachedAnswer(parties, key, () => lookUp(by));
      // A miss is not cached: the party may be registered in the next moment.
      if (party === undefined) parties.delete(key);
      return party;
    },
    async changed({ participant: { guid, jwksUrl, version } }) {
      const party = await freshParty(guid);
      if (party !== undefined && party.participant.version !== version) {
        parties.clear();
        return party;
      }
      // Debounced, so that a stranger who sends unknown kids all day costs one statement in this time.
      if (jwksUrl !== null) cachedAnswer(hurried, guid, () => hurryKeySet(context, guid)).catch(() => undefined);
      return undefined;
    },
    forget: () => parties.clear(),
  };
}

/** The keys of a party that are valid at this instant. */
export const goodKeys = ({ keys }: Party, now: Date): PartyKey[] => keys.filter((key) => isGood(key, now));

async function importAll(keys: readonly ParticipantKey[]): Promise<PartyKey[]> {
  const results = await Promise.all(
    keys.map(async ({ id, jwk, retireAt }) => ({ result: await importPublicKey(jwk), id, retireAt })),
  );
  return results.flatMap(({ result, ...about }) => (result.ok ? [{ ...result.key, ...about }] : []));
}
