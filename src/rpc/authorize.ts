import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { access as accessOption, for_suspended as forSuspendedOption } from "../../gen/dcm/v1/access_pb.ts";
import type { Identity } from "../core/identity/identity.ts";
import { PartyChanged } from "../core/identity/partyChanged.ts";
import { refusedToken } from "../core/identity/signed.ts";
import type { Service } from "../domain/credential.ts";
import { type Access, accesses } from "../wire/enums.ts";
import { accessTokenHeader, continuationHeader, counterpartyHeader, requestDigestHeader } from "../wire/metadata.ts";
import { actorKey } from "./caller.ts";
import { invalidRequest, toConnectError, unlessRefused } from "./errors.ts";
import { named } from "./fields.ts";

/** Finds out which service calls, from the headers of the call; undefined if it presents no valid credential. */
export type Identify = (header: Headers) => Promise<Service | undefined>;

/** Throws errors without a reason: a reason would read as if the bank or merchant behind the call had failed to authenticate. */
async function serviceOf(identify: Identify, header: Headers): Promise<Service> {
  const service = await identify(header);
  if (service !== undefined) return service;
  throw new ConnectError("the credential is missing, wrong, expired or revoked", Code.Unauthenticated);
}

/** Admits every service with a valid credential, whatever its scopes. */
export function requireCredential(identify: Identify): Interceptor {
  return (next) => async (request) => {
    await serviceOf(identify, request.header);
    return next(request);
  };
}

/** Admits only services, each to the methods whose contract names one of its scopes. */
export function authorize(identify: Identify): Interceptor {
  return (next) => async (request) => {
    const service = await serviceOf(identify, request.header);
    const hasToken = request.header.has(accessTokenHeader);
    const problem = accessProblem(accessOf(request.method), service, hasToken);
    if (problem === "no_token") throw toConnectError(refusedToken({ tokenProblem: "missing" }));
    if (problem !== undefined) throw new ConnectError(problem, Code.PermissionDenied);
    if (!hasToken) request.contextValues.set(actorKey, { kind: "service", ...service });
    return next(request);
  };
}

/** The kinds of callers that a service can call for, with their access token. */
const tokenAccesses = ["bank", "merchant"] as const satisfies Access[];

/**
 * Why a service may not call a method with these accesses, or undefined. With the token of a bank or merchant it calls for that
 * party and not for itself. `no_token`: it could call for a party, but presents no token.
 */
function accessProblem(
  allowed: readonly Access[],
  { scopes }: Service,
  hasToken: boolean,
): string | "no_token" | undefined {
  const isGateway = scopes.includes("gateway");
  const isForParties = tokenAccesses.some((access) => allowed.includes(access));
  if (hasToken) {
    if (!isGateway) return "the token of a bank or merchant is brought by a service with the scope gateway";
    return isForParties ? undefined : "this is not for a bank, nor for a merchant with an access token";
  }
  if (scopes.some((scope) => allowed.includes(scope))) return undefined;
  if (isGateway && allowed.includes("order_jws")) return undefined;
  if (isGateway && isForParties) return "no_token";
  const needed = [...new Set(allowed.map((access) => (isBrought(access) ? "gateway" : access)))];
  return `this needs a credential with the scope ${needed.join(" or ")}`;
}

/** Whether the request is authenticated by the party's signature, and the service with scope gateway only forwards it. */
const isBrought = (access: Access) => access === "order_jws" || tokenAccesses.some((other) => other === access);

/**
 * Cached, because reading an option decodes it each time, which would cost every call more than all other interceptors together.
 */
const knownAccess = new WeakMap<DescMethod, readonly Access[]>();

/** Who may call a method, as the contract says at the method. */
export function accessOf(method: DescMethod): readonly Access[] {
  const known = knownAccess.get(method);
  if (known !== undefined) return known;
  const access = getOption(method, accessOption).map((value) => named(accesses, value));
  knownAccess.set(method, access);
  return access;
}

const forSuspended = new WeakMap<DescMethod, boolean>();

/** Whether a suspended party may call a method, as the contract says at the method. */
function isForSuspended(method: DescMethod): boolean {
  const known = forSuspended.get(method) ?? getOption(method, forSuspendedOption);
  forSuspended.set(method, known);
  return known;
}

const noBody = new Uint8Array();
const sha256Bytes = 32;

/**
 * Authenticates the bank or merchant that a call is for. From here on the party is the caller, and the forwarding service has no
 * rights. A method that is open to both is called for the bank that the call names, or for a merchant where it names none.
 */
export function verifyParty(identity: Identity): Interceptor {
  return (next) => async (request) => {
    const token = request.header.get(accessTokenHeader);
    if (token === null) return next(request);
    if (request.stream) throw new ConnectError("an access token comes with one message", Code.Unimplemented);
    const counterpartyGuid = request.header.get(counterpartyHeader) ?? undefined;
    const isChange = request.method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
    const presented = {
      token,
      isChange,
      isForSuspended: isForSuspended(request.method),
      body: (request.message as { body?: Uint8Array }).body ?? noBody,
      requestDigest: isChange ? digestOf(request.header) : noBody,
      continuation: request.header.get(continuationHeader) ?? undefined,
    };
    const isMerchants = counterpartyGuid === undefined && accessOf(request.method).includes("merchant");
    const actor = isMerchants ? identity.merchantOf(presented) : identity.bankOf({ ...presented, counterpartyGuid });
    request.contextValues.set(actorKey, unlessRefused(await actor));
    return next(request);
  };
}

function digestOf(header: Headers): Uint8Array {
  const digest = Buffer.from(header.get(requestDigestHeader) ?? "", "base64url");
  if (digest.length !== sha256Bytes) throw invalidRequest(requestDigestHeader, `does not have ${sha256Bytes} bytes`);
  return digest;
}

/**
 * How often a call is decided before it fails: its party was changed each time meanwhile, which is more than changes can explain.
 */
const maxTries = 5;

/** Verifies and decides a call again when its party was changed meanwhile (`PartyChanged`, optimistic locking). */
export function retryOnPartyChange(identity: Identity): Interceptor {
  return (next) => async (request) => {
    for (let tried = 1; ; tried++) {
      try {
        return await next(request);
      } catch (error) {
        if (!(error instanceof PartyChanged) || tried === maxTries) throw error;
        identity.forget();
      }
    }
  };
}
