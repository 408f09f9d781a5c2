import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { AuditService } from "../../gen/dcm/v1/audit_service_pb.ts";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { CredentialService } from "../../gen/dcm/v1/credential_service_pb.ts";
import { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { PlatformService } from "../../gen/dcm/v1/platform_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { noTracing, type Tracing } from "../observe/tracing.ts";

export type CoreClients = {
  orders: Client<typeof OrderService>;
  paymentMessages: Client<typeof PaymentMessageService>;
  callbacks: Client<typeof CallbackService>;
  settlements: Client<typeof SettlementService>;
  participants: Client<typeof ParticipantService>;
  credentials: Client<typeof CredentialService>;
  audit: Client<typeof AuditService>;
  platform: Client<typeof PlatformService>;
};

export function createClients(transport: Transport): CoreClients {
  return {
    orders: createClient(OrderService, transport),
    paymentMessages: createClient(PaymentMessageService, transport),
    callbacks: createClient(CallbackService, transport),
    settlements: createClient(SettlementService, transport),
    participants: createClient(ParticipantService, transport),
    credentials: createClient(CredentialService, transport),
    audit: createClient(AuditService, transport),
    platform: createClient(PlatformService, transport),
  };
}

/** Longer than any statement may run, so that the core's own answer comes first. */
const callTimeoutMs = 35_000;

/** The same for a closing, whose statements may take ten minutes each (`Database.transaction`). */
export const closingTimeoutMs = 610_000;

/**
 * Calls a core elsewhere: gRPC over one HTTP/2 connection, which is checked and opened again when it was lost. `ca`: the
 * certificate (PEM) that vouches for the core's, where that is not one of the well-known authorities.
 */
export function remoteTransport(
  coreUrl: string,
  token: string | undefined,
  tracing: Tracing = noTracing,
  ca?: string,
): Transport & { close(): void } {
  const pings = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };
  const sessionManager = new Http2SessionManager(coreUrl, pings, ca === undefined ? {} : { ca });
  const transport = createGrpcTransport({
    baseUrl: coreUrl,
    interceptors: [sendToken(token), sendTrace(tracing)],
    defaultTimeoutMs: callTimeoutMs,
    // Both ends are ours and near each other: compression would only cost time.
    acceptCompression: [],
    sessionManager,
  });
  return { ...transport, close: () => sessionManager.abort() };
}

/** Hands the running span to the core. */
export function sendTrace(tracing: Tracing): Interceptor {
  return (next) => (request) => {
    const trace = tracing.current();
    if (trace !== undefined) request.header.set("traceparent", trace);
    return next(request);
  };
}

function sendToken(token: string | undefined): Interceptor {
  return (next) => (request) => {
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
