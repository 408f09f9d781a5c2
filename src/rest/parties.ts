import type { Client } from "@connectrpc/connect";
import { BankRole, type Participant, ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import type { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { importKeySet, importPublicKey, type VerificationKey } from "../sdk/keys.ts";
import { rpcOptions } from "./context.ts";
import { coreReason } from "./errors.ts";

export type PartyLookup = { case: "guid" | "bic" | "uid" | "kid"; value: string };
export type Party = { participant: Participant; keys: readonly VerificationKey[] };

export type Parties = {
  /** The participant with its imported signing keys, if there is one. */
  find(by: PartyLookup): Promise<Party | undefined>;
  /** A merchant may have changed its published keys: reads them again, unless that was done just now. */
  refreshed(party: Party): Promise<Party>;
  /** The banks that payers can pay with, by name. */
  initiators(): Promise<readonly Participant[]>;
};

/** Short enough that a replaced key or a new bank works at once for a person, long enough for thousands of requests. */
const LOOKUP_MS = 2_000;
const KEY_SET_MS = 5 * 60_000;
/** A stranger who sends unknown kids must not make us read a merchant's address over and over. */
const KEY_SET_RETRY_MS = 30_000;
const MAX_CACHED = 10_000;
const PAGE_SIZE = 500;
const MAX_PAGES = 20;

type Aged<T> = { value: Promise<T>; at: number };

export function createParties(
  client: Client<typeof ParticipantService>,
  fetchKeySet: ((url: string) => Promise<unknown>) | undefined,
): Parties {
  const parties = new Map<string, Aged<Party | undefined>>();
  const imported = new Map<string, { version: bigint; keys: Promise<VerificationKey[]> }>();
  const published = new Map<string, Aged<VerificationKey[] | undefined>>();
  const lists = new Map<string, Aged<readonly Participant[]>>();

  function registeredKeys(participant: Participant): Promise<VerificationKey[]> {
    const known = imported.get(participant.guid);
    if (known?.version === participant.version) return known.keys;
    const keys = importAll(participant.signingJwks);
    remember(imported, participant.guid, { version: participant.version, keys });
    return keys;
  }

  /** Undefined while the address has never answered with a key set. */
  function publishedKeys(url: string, maxAgeMs: number): Promise<VerificationKey[] | undefined> {
    if (!fetchKeySet || url === "") return Promise.resolve(undefined);
    // When the address fails, what it answered last still counts: an outage must not bring back keys that were withdrawn.
    const last = published.get(url)?.value;
    return aged(published, url, maxAgeMs, () =>
      fetchKeySet(url)
        .then(keysOf, () => undefined)
        .then((keys) => keys ?? last),
    );
  }

  async function withKeys(participant: Participant, keySetMaxAgeMs: number): Promise<Party> {
    const published = await publishedKeys(participant.jwksUrl, keySetMaxAgeMs);
    // What a party publishes replaces what was registered: a key that it withdrew must not go on signing.
    return { participant, keys: published ?? (await registeredKeys(participant)) };
  }

  async function lookUp(by: PartyLookup): Promise<Party | undefined> {
    try {
      const { participant } = await client.getParticipant({ by }, rpcOptions);
      return participant && (await withKeys(participant, KEY_SET_MS));
    } catch (error) {
      if (coreReason(error) === "PARTICIPANT_NOT_FOUND") return undefined;
      throw error;
    }
  }

  return {
    async find(by) {
      const key = `${by.case} ${by.value}`;
      const party = await aged(parties, key, LOOKUP_MS, () => lookUp(by));
      // Whoever is unknown now may be registered in the next moment.
      if (party === undefined) parties.delete(key);
      return party;
    },
    refreshed: ({ participant }) => withKeys(participant, KEY_SET_RETRY_MS),
    initiators: () => aged(lists, "initiators", LOOKUP_MS, () => listInitiators(client)),
  };
}

/** The keys of an answer; undefined when it is no key set. A set may well be empty: then the party has withdrawn every key. */
async function keysOf(set: unknown): Promise<VerificationKey[] | undefined> {
  const isSet = Array.isArray((set as { keys?: unknown } | null)?.keys);
  return isSet ? importKeySet(set) : undefined;
}

async function importAll(jwks: readonly string[]): Promise<VerificationKey[]> {
  const results = await Promise.all(jwks.map((text) => importPublicKey(JSON.parse(text))));
  return results.flatMap((result) => (result.ok ? [result.key] : []));
}

async function listInitiators(client: Client<typeof ParticipantService>): Promise<readonly Participant[]> {
  const found: Participant[] = [];
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES; page++) {
    const request = { kind: ParticipantKind.BANK, role: BankRole.INITIATOR, pageSize: PAGE_SIZE, pageToken };
    const answer = await client.listParticipants(request, rpcOptions);
    found.push(...answer.participants);
    pageToken = answer.nextPageToken;
    if (pageToken === "") break;
  }
  return found.filter((bank) => isDeepLink(bank.deepLinkPrefix));
}

/** A bank's own scheme or https; never one that a browser would run, on our page or on a merchant's. */
function isDeepLink(prefix: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(prefix) && !/^(?:javascript|data|vbscript|blob|file):/i.test(prefix);
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
  if (cache.size > MAX_CACHED) for (const oldest of cache.keys()) return void cache.delete(oldest);
}
