import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { AuditService } from "../../gen/dcm/v1/audit_service_pb.ts";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { CredentialService } from "../../gen/dcm/v1/credential_service_pb.ts";
import { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { PlatformService } from "../../gen/dcm/v1/platform_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { Core } from "../core/core.ts";
import type { WholeAnswers } from "../wire/whole.ts";
import { accessOf } from "./authorize.ts";
import { auditHandlers } from "./services/audit.ts";
import { callbackHandlers } from "./services/callback.ts";
import { credentialHandlers } from "./services/credential.ts";
import { orderHandlers } from "./services/order.ts";
import { participantHandlers } from "./services/participant.ts";
import { paymentMessageHandlers } from "./services/paymentMessage.ts";
import { platformHandlers } from "./services/platform.ts";
import { settlementHandlers } from "./services/settlement.ts";

/** A service and its handlers by the local name of the method. */
export type ServiceRow = { service: DescService; handlers: Readonly<Record<string, unknown>> };

const row = <Service extends DescService>(service: Service, handlers: WholeAnswers<Service>): ServiceRow => ({
  service,
  handlers,
});

/** The services over one core: a handler translates the request, calls the use-case of the same name, and translates the answer. */
export function coreServices(core: Core): ServiceRow[] {
  return [
    row(OrderService, orderHandlers(core)),
    row(PaymentMessageService, paymentMessageHandlers(core)),
    row(CallbackService, callbackHandlers(core)),
    row(SettlementService, settlementHandlers(core)),
    row(ParticipantService, participantHandlers(core)),
    row(CredentialService, credentialHandlers(core)),
    row(AuditService, auditHandlers(core)),
    row(PlatformService, platformHandlers(core)),
  ];
}

/**
 * The services for a router of Connect, which serves them over the network. Throws for a method whose contract admits no caller.
 */
export function routesOf(
  services: readonly ServiceRow[],
  interceptors: Interceptor[] = [],
): (router: ConnectRouter) => void {
  return (router) => {
    for (const { service, handlers } of services) {
      const forNobody = service.methods.find((method) => accessOf(method).length === 0);
      if (forNobody !== undefined)
        throw new Error(`${service.typeName}/${forNobody.name} names nobody who may call it`);
      router.service(service, handlers as never, { interceptors });
    }
  };
}
