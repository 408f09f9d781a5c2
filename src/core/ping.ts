import { randomBytes } from "node:crypto";
import { type PingResult, PingResultSchema } from "../../gen/dcm/v1/participant_service_pb.ts";
import { limits } from "../../gen/rest/limits.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import { type CallbackUrlName, callbackUrlNames, isGood, jwksOf, type PublicJwk } from "../domain/participant.ts";
import { verifyJws } from "../sdk/jws.ts";
import { importPublicKey } from "../sdk/keys.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext, PingAnswer, PingedParticipant } from "./context.ts";
import { storedParticipant, unknownParticipant } from "./participantLock.ts";

/** The result of a ping of one address, which may serve several kinds of callbacks. */
type PingedAddress = Omit<PingAnswer, "body"> & {
  urlNames: CallbackUrlName[];
  url: string;
  answer: string;
  /** The kids of the keys that the answer has signed the challenge with. */
  provenKids: string[];
};

/** The most of an answer that is shown. */
const shownChars = 4_096;
/** The most proofs of an answer that are verified: one for each key that a participant can have. */
const maxProofs = limits.pingProofs;

/** Pings every callback URL of a participant, each address once. */
export async function pingParticipant(context: CoreContext, guid: string): Promise<PingResult[] | Refusal> {
  const participant = await storedParticipant(context.db.sql, guid);
  if (participant === undefined) return unknownParticipant();
  const good = participant.keys.filter((key) => isGood(key, context.now()));
  return (await pingAddresses(context, participant, jwksOf({ keys: good }, "sig"))).map(toPingResult);
}

function toPingResult({ httpStatus, durationMs, problem, ...same }: PingedAddress): PingResult {
  return whole(PingResultSchema, {
    ...same,
    httpStatus: httpStatus ?? 0,
    durationMs: Math.round(durationMs),
    problem: problem ?? "",
  });
}

/**
 * What is wrong with the proof that a participant's addresses and keys belong together, or undefined. Each address must answer a
 * ping with the challenge signed by each key.
 */
export async function proofProblem(
  context: CoreContext,
  participant: PingedParticipant,
  jwks: readonly PublicJwk[],
): Promise<Refusal | undefined> {
  const results = await pingAddresses(context, participant, jwks);
  for (const { urlNames, outcome, problem, httpStatus, provenKids } of results) {
    const field = `callback_urls.${urlNames[0]}`;
    const fails = (text: string) => refuse("INVALID_CALLBACK_URL", `${field} ${text}`, { field, elsewhere: true });
    if (outcome !== "accepted") return fails(`does not take a ping: ${problem ?? `it answers ${httpStatus}`}`);
    const unproven = jwks.find(({ kid }) => !provenKids.includes(kid));
    if (unproven !== undefined) return fails(`does not prove the key ${unproven.kid} by its answer to a ping`);
  }
  return undefined;
}

function pingAddresses(
  context: CoreContext,
  participant: PingedParticipant,
  jwks: readonly PublicJwk[],
): Promise<PingedAddress[]> {
  const { callbackUrls } = participant;
  const named = callbackUrlNames.filter((name) => callbackUrls[name] !== undefined);
  const addresses = Map.groupBy(named, (name) => callbackUrls[name] ?? "");
  return Promise.all(
    [...addresses].map(async ([url, urlNames]): Promise<PingedAddress> => {
      // A challenge of its own for each address, so that none can answer with what another one has signed.
      const challenge = randomBytes(32).toString("base64url");
      const { body = "", ...answer } = await context.ping(participant, url, challenge);
      const provenKids = answer.outcome === "accepted" ? await provenBy(body, challenge, jwks) : [];
      return { ...answer, urlNames, url, answer: body.slice(0, shownChars), provenKids };
    }),
  );
}

async function provenBy(body: string, challenge: string, jwks: readonly PublicJwk[]): Promise<string[]> {
  const imported = await Promise.all(jwks.map(importPublicKey));
  const keys = imported.flatMap((result) => (result.ok ? [result.key] : []));
  const kids = new Set<string>();
  for (const proof of proofsIn(body)) {
    const verified = await verifyJws(proof, keys);
    if (verified.ok && verified.claims.challenge === challenge) kids.add(verified.by.kid);
  }
  return [...kids];
}

function proofsIn(body: string): unknown[] {
  try {
    const { jwts } = JSON.parse(body) as { jwts?: unknown };
    return Array.isArray(jwts) ? jwts.slice(0, maxProofs) : [];
  } catch {
    return [];
  }
}
