import type { IncomingMessage } from "node:http";
import type { Client } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import type { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../gen/dcm/v1/participant_pb.ts";
import type { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import type { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { components } from "../../gen/rest/types.ts";
import type { Tracing } from "../tracing.ts";
import type { Parties } from "./parties.ts";
import type { RequestObserver } from "./requestLog.ts";

export type JwkSet = components["schemas"]["JwkSet"];
export type DependencyState = { dependency: string; ok: boolean; problem?: string };

/** The core, as the translator sees it: RPC clients, in the same process or far away. */
export type CoreClients = {
  orders: Client<typeof OrderService>;
  paymentMessages: Client<typeof PaymentMessageService>;
  callbacks: Client<typeof CallbackService>;
  settlements: Client<typeof SettlementService>;
  participants: Client<typeof ParticipantService>;
};

export type RestDeps = {
  clients: CoreClients;
  /** Where payers and merchants reach this deployment, without a slash at the end. */
  publicUrl: string;
  platformJwks: () => JwkSet;
  signAsPlatform: (claims: Record<string, unknown>) => Promise<string>;
  log: Logger;
  clock: () => Date;
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
  openapiPath: string;
  /** Reads a merchant's published key set; without it only directly registered keys verify. */
  fetchKeySet?: (url: string) => Promise<unknown>;
};

/**
 * What a bank's verified Cx-Authorization said, and of which request; the core refuses it with another one once it is used up.
 * The token itself is the evidence where the body is not signed.
 */
export type Access = { token: string; jti: string; issuedAt: Date; requestDigest: Uint8Array };

export type Caller = { bank: Participant; access: Access };

/** What a handler has beside its input. */
export type RequestContext = {
  deps: RestDeps;
  parties: Parties;
  /** The verified bank; absent on operations that need no Cx-Authorization. */
  caller: Caller | undefined;
};

/** Longer than the core needs for anything, shorter than the patience of a caller. */
const RPC_TIMEOUT_MS = 10_000;
export const rpcOptions = { timeoutMs: RPC_TIMEOUT_MS } as const;

/** The caller of an operation that needs one; the route table has seen to it, so its absence is a mistake of ours. */
export function callerOf(context: RequestContext): Caller {
  if (context.caller === undefined) throw new Error("the operation is not marked as one that needs Cx-Authorization");
  return context.caller;
}
