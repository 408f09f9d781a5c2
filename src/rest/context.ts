import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Logger } from "pino";
import type { components } from "../../gen/rest/types.ts";
import type { Tracing } from "../observe/tracing.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import type { Initiators } from "./initiators.ts";
import type { RequestObserver } from "./requestLog.ts";
import type { rpcOptions } from "./rpcOptions.ts";

export type DependencyState = components["schemas"]["Readiness"]["dependencies"][number];

export type RestDeps = {
  clients: CoreClients;
  /** Where payers and merchants reach this deployment, without a slash at the end. */
  publicUrl: string;
  log: Logger;
  readiness: () => Promise<DependencyState[]>;
  metricsText?: () => Promise<string>;
  /** Whether a caller may read the metrics; for everybody else they do not exist. */
  mayReadMetrics?: (request: IncomingMessage) => boolean;
  requestDone?: RequestObserver;
  /** Requests of the API that are worked on at the same time; what comes on top waits and is then told to come again. */
  maxInFlight?: number;
  /** How long a reader of a streamed answer may take nothing. */
  readerPatienceMs?: number;
  /** Answers that are streamed at the same time; what comes on top is told to come again. */
  maxStreams?: number;
  tracing?: Tracing;
  openapi: OpenapiPaths;
};

/** The files that hold the contract. */
export type OpenapiPaths = { yaml: string; json: string };

/** What a handler has beside its input. */
export type RequestContext = {
  deps: RestDeps;
  initiators: Initiators;
  requestId: string;
  /** The headers of the request. */
  headers: IncomingHttpHeaders;
  /** The body of the request, byte by byte. */
  body: Uint8Array;
  /** Of an operation that needs a Cx-Authorization; what it says is for the core to verify. */
  partyCall: CallMetadata | undefined;
};

/** How the core is called for a bank or merchant: with its token as it arrived, and what the token is judged by. */
export type CallMetadata = typeof rpcOptions & { headers: Record<string, string> };

/** For an operation that needs a Cx-Authorization; the route table has seen to it, so its absence is a mistake of ours. */
export function asParty({ partyCall }: RequestContext): CallMetadata {
  if (partyCall === undefined) throw new Error("the operation is not marked as one that needs Cx-Authorization");
  return partyCall;
}
