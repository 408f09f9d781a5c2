import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Identity } from "../core/identity/identity.ts";
import type { TokenSeen } from "../domain/errors.ts";
import { noTracing, type Tracing } from "../observe/tracing.ts";
import { requestIdHeader } from "../wire/metadata.ts";
import { authorize, type Identify, retryOnPartyChange, verifyParty } from "./authorize.ts";
import { errorForCaller, invalidRequest } from "./errors.ts";
import { validateRequests } from "./validation.ts";

/** The part of a structured logger that the adapter uses; a pino logger is one. */
export type RpcLog = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

/** One line per call: which method, how long, how it ended. Bodies hold personal data and signatures, so never those. */
export function logRequests(log: RpcLog): Interceptor {
  return (next) => async (request) => {
    const startedAt = performance.now();
    const rpc = `${request.service.typeName}/${request.method.name}`;
    const write = (code: string) => {
      log.debug({ rpc, durationMs: Math.round(performance.now() - startedAt), code }, "rpc");
    };
    try {
      const answer = await next(request);
      write("ok");
      return answer;
    } catch (error) {
      write(snakeCase(Code[ConnectError.from(error).code]));
      throw error;
    }
  };
}

/** InvalidArgument is invalid_argument, orderId is order_id. */
const snakeCase = (name: string) => name.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase();

/** A span per call, under the caller's span. */
function traceCalls(tracing: Tracing): Interceptor {
  return (next) => (request) => {
    const rpc = `${request.service.typeName}/${request.method.name}`;
    const parent = request.header.get("traceparent");
    return tracing.inSpan({ name: rpc, kind: "server", attributes: { "rpc.system": "connect_rpc" }, parent }, () =>
      next(request),
    );
  };
}

/**
 * Turns what handlers throw into errors for the caller. A fault of ours is logged here, once and in full. A refused token is logged
 * as well, with the claimed party and the problem, which the caller is not told.
 */
export function mapErrors(log: RpcLog): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const answer = errorForCaller(error);
      const rpc = `${request.service.typeName}/${request.method.name}`;
      if (answer !== error) log.error({ err: error, rpc }, "rpc");
      if (isTokenSeen(answer.cause)) {
        const requestId = request.header.get(requestIdHeader) ?? undefined;
        log.info({ rpc, requestId, ...answer.cause }, "a token was refused");
      }
      throw answer;
    }
  };
}

const isTokenSeen = (cause: unknown): cause is TokenSeen =>
  typeof cause === "object" && cause !== null && "tokenProblem" in cause;

/** PostgreSQL cannot store U+0000 in a text, and one would fail the statement of a whole group of calls, so it is refused here. */
const refuseNulCharacters: Interceptor = (next) => async (request) => {
  const field = request.stream ? undefined : fieldWithNul(request.message);
  if (field !== undefined) throw invalidRequest(field, "has a NUL character");
  return next(request);
};

function fieldWithNul(message: object, path = ""): string | undefined {
  for (const [name, value] of Object.entries(message)) {
    if (typeof value === "string" && value.includes("\0")) return path + snakeCase(name);
    if (value instanceof Uint8Array) continue;
    const nested =
      typeof value === "object" && value !== null ? fieldWithNul(value, `${path}${snakeCase(name)}.`) : undefined;
    if (nested !== undefined) return nested;
  }
  return undefined;
}

/** What the interceptors of a server need. */
export type ServerParts = { log: RpcLog; identify: Identify; identity: Identity; tracing?: Tracing | undefined };

/**
 * The order matters: logging is outermost and sees every answer, and authorization comes before validation, so that a caller
 * without rights learns nothing about its request.
 */
export function serverInterceptors({ log, identify, identity, tracing = noTracing }: ServerParts): Interceptor[] {
  return [
    logRequests(log),
    mapErrors(log),
    authorize(identify),
    traceCalls(tracing),
    refuseNulCharacters,
    retryOnPartyChange(identity),
    verifyParty(identity),
    validateRequests,
  ];
}
