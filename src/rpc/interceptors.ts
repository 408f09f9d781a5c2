import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { scopes as scopesOption } from "../../gen/dcm/v1/scope_pb.ts";
import type { Scope, Service } from "../domain/credential.ts";
import { noTracing, type Tracing } from "../tracing.ts";
import { scopes as scopeValues } from "./enums.ts";
import { errorForCaller, invalidRequest } from "./errors.ts";
import { named } from "./fields.ts";

/** The part of a structured logger that the adapter uses; a pino logger is one. */
export type RpcLog = {
  debug(fields: object, message: string): void;
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
export function traceCalls(tracing: Tracing): Interceptor {
  return (next) => (request) => {
    const rpc = `${request.service.typeName}/${request.method.name}`;
    const parent = request.header.get("traceparent");
    return tracing.inSpan({ name: rpc, kind: "server", attributes: { "rpc.system": "connect_rpc" }, parent }, () =>
      next(request),
    );
  };
}

/** Hands the running span to the core. */
export function sendTrace(tracing: Tracing): Interceptor {
  return (next) => (request) => {
    const trace = tracing.current();
    if (trace !== undefined) request.header.set("traceparent", trace);
    return next(request);
  };
}

/** Turns what handlers throw into what callers may hear; a fault of ours is logged here, once and in full. */
export function mapErrors(log: RpcLog): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const answer = errorForCaller(error);
      if (answer !== error) log.error({ err: error, rpc: `${request.service.typeName}/${request.method.name}` }, "rpc");
      throw answer;
    }
  };
}

/** PostgreSQL cannot store U+0000 in a text; it is refused before it can fail a whole group of calls. */
export const refuseNulCharacters: Interceptor = (next) => async (request) => {
  const field = request.stream ? undefined : fieldWithNul(request.message);
  if (field !== undefined) throw invalidRequest(field, "has a NUL character");
  return next(request);
};

function fieldWithNul(message: object, path = ""): string | undefined {
  for (const [name, value] of Object.entries(message)) {
    if (typeof value === "string" && value.includes("\0")) return path + snakeCase(name);
    const nested =
      typeof value === "object" && value !== null ? fieldWithNul(value, `${path}${snakeCase(name)}.`) : undefined;
    if (nested !== undefined) return nested;
  }
  return undefined;
}

/** Finds out which service calls, by the headers of the call; undefined for whoever shows no good credential. */
export type Identify = (header: Headers) => Promise<Service | undefined>;

/**
 * Admits services only, and each only to the methods whose scopes it has. The errors carry no detail: a reason would read as
 * if the bank or merchant behind the call had failed to identify itself.
 */
export function authorize(identify: Identify): Interceptor {
  return (next) => async (request) => {
    const service = await identify(request.header);
    if (service === undefined) {
      throw new ConnectError("the credential is missing, wrong, expired or revoked", Code.Unauthenticated);
    }
    const allowed = scopesOf(request.method);
    if (!service.scopes.some((scope) => allowed.includes(scope))) {
      throw new ConnectError(`this needs a credential with the scope ${allowed.join(" or ")}`, Code.PermissionDenied);
    }
    return next(request);
  };
}

/** Reading an option decodes it each time, which would cost every call more than all other interceptors together. */
const knownScopes = new WeakMap<DescMethod, readonly Scope[]>();

/** Which services may call a method, as the contract says at the method. */
export function scopesOf(method: DescMethod): readonly Scope[] {
  const known = knownScopes.get(method);
  if (known !== undefined) return known;
  const scopes = getOption(method, scopesOption).map((value) => named(scopeValues, value, "scopes"));
  knownScopes.set(method, scopes);
  return scopes;
}

/** The order matters: the log sees every answer, and nothing is looked at before the caller is known. */
export function serverInterceptors(log: RpcLog, identify: Identify, tracing: Tracing = noTracing): Interceptor[] {
  return [logRequests(log), mapErrors(log), authorize(identify), traceCalls(tracing), refuseNulCharacters];
}

export function sendToken(token: string | undefined): Interceptor {
  return (next) => (request) => {
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
