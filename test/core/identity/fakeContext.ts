import { randomUUID } from "node:crypto";
import type { JWK } from "jose";
import type { CoreContext, PlatformKeys } from "../../../src/core/context.ts";
import { createOrderChanges } from "../../../src/core/orderChanges.ts";
import { selectBanksWithKid, selectParticipants } from "../../../src/core/participantRows.ts";
import type { Database } from "../../../src/db/database.ts";
import type { Sql } from "../../../src/db/pool.ts";
import { defaultRetryPolicy } from "../../../src/domain/callback.ts";
import type { Participant, ParticipantKey, PublicJwk } from "../../../src/domain/participant.ts";

/** What a statement answers, by the statement's name. */
export type Statements = Record<string, (values: readonly unknown[]) => unknown[]>;

/** A key that was added at the beginning of time. */
export function keyOf(jwk: JWK, changes: Partial<ParticipantKey> = {}): ParticipantKey {
  const { kid = "" } = jwk;
  const about = { activeFrom: new Date(0), retireAt: null, seenAt: null, addedBy: "tests", addedWith: null };
  return { id: 1, use: "sig", kid, jwk: jwk as PublicJwk, ...about, ...changes };
}

type Given = Partial<Participant> & Pick<Participant, "guid" | "kind" | "name"> & { signingJwks?: JWK[] };

/** A party that was registered at the beginning of time and has only what the test gives it. */
export function registered({ signingJwks = [], ...given }: Given): Participant {
  return {
    taxCode: "12345678",
    bic: null,
    uid: null,
    roles: [],
    iban: "",
    mcc: null,
    servicingBankGuid: null,
    callbackUrls: {},
    callbackBodyFormat: "json",
    keys: signingJwks.map((jwk, place) => keyOf(jwk, { id: place + 1 })),
    jwksUrl: null,
    email: "",
    deepLinkPrefix: null,
    logoUrl: null,
    redirectUrl: null,
    feeBasisPoints: 0,
    version: 1,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    requiresBodySha256: false,
    callbackAlg: "RS256",
    status: "active",
    deepLinkContent: "signed_order",
    logo: null,
    ...given,
  };
}

/** Keys that sign nothing: what they are asked to sign can be read in the place of a token. */
export const fakePlatformKeys: PlatformKeys = {
  jwks: () => [],
  sign: async (claims) => JSON.stringify(claims),
  isActive: () => true,
  secret: new Uint8Array(32),
  seal: () => ({ privateKey: Buffer.alloc(0), masterKeyId: "none" }),
  refresh: async () => undefined,
};

/** What a core needs, before a database that knows these parties and what else the test gives it. */
export function fakeContext(
  parties: readonly Participant[],
  { statements = {}, ...changes }: Partial<CoreContext> & { statements?: Statements } = {},
): CoreContext {
  return {
    db: fakeDatabase({ ...lookUps(parties), ...statements }),
    newGuid: () => randomUUID(),
    supportedCurrencies: ["UAH"],
    maxOrderLifeDays: 366,
    retryPolicy: defaultRetryPolicy,
    republishAfterMs: 60_000,
    onCallbacksDue: () => {},
    now: () => new Date(),
    publicUrl: () => "https://platform.example",
    platformKeys: fakePlatformKeys,
    jwksMaxAgeSeconds: 3_600,
    callbackUrlProblem: async () => undefined,
    publicKey: async () => ({ problem: "is not looked at here" }),
    ping: async () => ({ outcome: "connect_refused", durationMs: 1 }),
    fetchJwks: async () => ({ problem: "does not answer" }),
    fetchLogo: async () => ({ problem: "does not answer" }),
    onOrdersChanged: () => undefined,
    orderChanges: createOrderChanges(),
    ...changes,
  };
}

function fakeDatabase(statements: Statements): Database {
  const sql: Sql = async <Row>({ name }: { name: string }, values: readonly unknown[] = []) => {
    const answer = statements[name];
    if (answer === undefined) throw new Error(`the test's database cannot answer ${name}`);
    return answer(values) as Row[];
  };
  return { hot: sql, sql } as Database;
}

const lookUps = (parties: readonly Participant[]): Statements => ({
  [selectParticipants.name]: ([guid, bic, uid]) =>
    parties.filter((party) => party.guid === guid || (bic && party.bic === bic) || (uid && party.uid === uid)),
  [selectBanksWithKid.name]: ([wanted]) => {
    return parties.filter(({ kind, keys }) => kind === "bank" && keys.some(({ kid }) => kid === wanted));
  },
});
