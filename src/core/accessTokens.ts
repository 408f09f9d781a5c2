import type { Sql } from "../db/pool.ts";
import { type AccessToken, accessTokenMemoryMs, accessTokenProblem } from "../domain/accessToken.ts";
import type { Refusal } from "../domain/errors.ts";
import type { CoreContext } from "./context.ts";
import { PartyChanged } from "./identity/partyChanged.ts";

/**
 * An access token with its signer and the version that it was verified as. Two parties may use the same `jti`, so the key is both.
 */
export type PartyToken = AccessToken & { participantGuid: string };
type VerifiedToken = PartyToken & { participantVersion: number };

/** Until when a used token is remembered against replay; after that it is too old to be accepted anyway. */
export const rememberedUntil = ({ issuedAt }: AccessToken) => new Date(issuedAt.getTime() + accessTokenMemoryMs);

const selectToken = {
  name: "select_access_token",
  text: `
    select now() as judged_at, p.version, used.jti is not null as is_used, used.request_digest
    from participant p left join used_access_token used on used.participant_guid = p.guid and used.jti = $2
    where p.guid = $1`,
};

/**
 * Why a request with this token is refused (too old, from the future, or a replay), or undefined; judged by the database's clock.
 * Throws `PartyChanged` when the party no longer has the version that its signature was verified against.
 */
export async function tokenProblem(sql: Sql, token: VerifiedToken): Promise<Refusal | undefined> {
  type Found = { judged_at: Date; version: number; is_used: boolean; request_digest: Buffer | null };
  const [found] = await sql<Found>(selectToken, [token.participantGuid, token.jti]);
  if (found?.version !== token.participantVersion) throw new PartyChanged();
  return accessTokenProblem(token, found.is_used ? found.request_digest : undefined, found.judged_at);
}

// A row that the same request stored meanwhile stays as it is. A row of another request makes this insert fail as a lost race; the
// caller decides again, and `tokenProblem` then reports the replay. The insert waits for a concurrent one of the same token.
const insertToken = {
  name: "keep_access_token",
  text: `
    insert into used_access_token as kept (participant_guid, jti, expires_at, request_digest) values ($1, $2, $3, $4)
    on conflict (participant_guid, jti) do update set request_digest = excluded.request_digest
    where kept.request_digest is distinct from excluded.request_digest and lost_race('another request used the token up')`,
};

/**
 * Marks a token as used by its request, in the transaction that stores what the request changes. Fails as a lost race when another
 * request has used it since `tokenProblem` looked.
 */
export async function markTokenUsed(sql: Sql, token: PartyToken): Promise<void> {
  await sql(insertToken, [token.participantGuid, token.jti, rememberedUntil(token), token.requestDigest]);
}

const forgetTokens = {
  name: "forget_access_tokens",
  text: `
    delete from used_access_token where ctid = any(array(
      select ctid from used_access_token where expires_at < now() limit $1))`,
};

/** Forgets at most `limit` access tokens that are too old to be accepted anyway. */
export async function forgetAccessTokens(context: CoreContext, limit: number): Promise<void> {
  await context.db.hot(forgetTokens, [limit]);
}
