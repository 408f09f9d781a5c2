import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Logger } from "pino";
import type { components } from "../../gen/rest/types.ts";
import type { Tracing } from "../observe/tracing.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import type { EventStreams } from "./eventStreams.ts";
import type { Initiators } from "./initiators.ts";
import type { OrderFollower } from "./orderFollower.ts";
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
  /** Whether a caller may read the metrics; everyone else gets 404. */
  mayReadMetrics?: (request: IncomingMessage) => boolean;
  requestDone?: RequestObserver;
  /** How many API requests are worked on at the same time; more wait for a moment and are then refused as OVERLOADED. */
  maxInFlight?: number;
  /** How long the reader of a streamed answer may take no bytes before it is cut off. */
  readerPatienceMs?: number;
  /** How many answers are streamed at the same time; more are refused as OVERLOADED. */
  maxStreams?: number;
  /** How many follow an order live at the same time; more are refused as OVERLOADED, and browsers ask instead. */
  maxEventStreams: number;
  /** The streams of server-sent events of this process. */
  eventStreams: EventStreams;
  tracing?: Tracing;
  openapi: OpenapiPaths;
};

/** The files that hold the contract. */
export type OpenapiPaths = { yaml: string; json: string };

/** What a handler gets beside its input. */
export type RequestContext = {
  deps: RestDeps;
  initiators: Initiators;
  /** For those who follow an order live. */
  live: { follower: OrderFollower; streams: EventStreams };
  requestId: string;
  /** The headers of the request. */
  headers: IncomingHttpHeaders;
  /** The body of the request, byte by byte. */
  body: Uint8Array;
  /** Set for an operation that needs a Cx-Authorization; the core verifies it. */
  partyCall: CallMetadata | undefined;
};

/** The metadata of a core call for a bank or merchant: its token as it arrived, and what the token is judged by. */
export type CallMetadata = typeof rpcOptions & { headers: Record<string, string> };

/**
 * The metadata for an operation that needs a Cx-Authorization. The dispatcher has set it; without it we made a mistake, which
 * throws.
 */
export function asParty({ partyCall }: RequestContext): CallMetadata {
  if (partyCall === undefined) throw new Error("the operation is not marked as one that needs Cx-Authorization");
  return partyCall;
}
