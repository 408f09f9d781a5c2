import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AuditService } from "../../gen/dcm/v1/audit_service_pb.ts";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { CredentialService } from "../../gen/dcm/v1/credential_service_pb.ts";
import { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { PlatformService } from "../../gen/dcm/v1/platform_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";

const services = {
  orders: OrderService,
  paymentMessages: PaymentMessageService,
  callbacks: CallbackService,
  settlements: SettlementService,
  participants: ParticipantService,
  credentials: CredentialService,
  audit: AuditService,
  platform: PlatformService,
};

/** The core as its callers see it, in the same process or another. */
export type CoreClients = { [Name in keyof typeof services]: Client<(typeof services)[Name]> };

export function createClients(transport: Transport): CoreClients {
  const clients = Object.entries(services).map(([name, service]) => [name, createClient(service, transport)]);
  return Object.fromEntries(clients) as CoreClients;
}
