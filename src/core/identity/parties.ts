import { LRUCache } from "lru-cache";
import { isRefusal } from "../../domain/errors.ts";
import { isGood, type Participant, type ParticipantKey } from "../../domain/participant.ts";
import { recall, rememberedAnswers } from "../../recall.ts";
import { importPublicKey, type VerificationKey } from "../../sdk/keys.ts";
import type { CoreContext } from "../context.ts";
import { hurryKeySet, rereadOnDemandMs } from "../keySets.ts";
import { getParticipant, type ParticipantName } from "../participants.ts";

/** A key that verifies a party's signatures as long as it is good. */
export type PartyKey = VerificationKey & Pick<ParticipantKey, "id" | "retireAt">;

/** A participant with the keys that verify its signatures. */
export type Party = { participant: Participant; keys: readonly PartyKey[] };

export type Parties = {
  find(by: ParticipantName): Promise<Party | undefined>;
  /**
   * What a party signed does not verify: it may have a new key since it was looked up, so it is looked up anew; undefined when it
   * is what it was. If it publishes its keys, it may have changed those, and they are read soon; nobody waits for that.
   */
  changed(party: Party): Promise<Party | undefined>;
  /** Looks everybody up anew: somebody was changed since. */
  forget(): void;
};

/**
 * Long enough for thousands of requests. Whatever changes something is decided again where its party was changed since it was
 * looked up, so a key that was withdrawn can only read so long; and so long a new key may not be known yet.
 */
const lookUpMs = 2_000;
const maxCached = 10_000;

export function createParties(context: CoreContext): Parties {
  const parties = rememberedAnswers<Party | undefined>(lookUpMs, maxCached);
  const imported = new LRUCache<string, { version: number; keys: Promise<PartyKey[]> }>({ max: maxCached });
  const hurried = rememberedAnswers<void>(rereadOnDemandMs, maxCached);
  // Not remembered: one that is asked and one that asks for each party, and both leave when they have their answer.
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

  /** Asks after this call, not before, and never twice at a time for one party, whatever strangers send in its name. */
  function askedNow(guid: string): Promise<Party | undefined> {
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
      const party = await recall(parties, key, () => lookUp(by));
      // Whoever is unknown now may be registered in the next moment.
      if (party === undefined) parties.delete(key);
      return party;
    },
    async changed({ participant: { guid, jwksUrl, version } }) {
      const party = await askedNow(guid);
      if (party !== undefined && party.participant.version !== version) {
        parties.clear();
        return party;
      }
      // Whoever sends unknown kids all day costs one statement in this time.
      if (jwksUrl !== null) recall(hurried, guid, () => hurryKeySet(context, guid)).catch(() => undefined);
      return undefined;
    },
    forget: () => parties.clear(),
  };
}

/** The keys of a party that are good at this instant. */
export const goodKeys = ({ keys }: Party, now: Date): PartyKey[] => keys.filter((key) => isGood(key, now));

async function importAll(keys: readonly ParticipantKey[]): Promise<PartyKey[]> {
  const results = await Promise.all(
    keys.map(async ({ id, jwk, retireAt }) => ({ result: await importPublicKey(jwk), id, retireAt })),
  );
  return results.flatMap(({ result, ...about }) => (result.ok ? [{ ...result.key, ...about }] : []));
}
