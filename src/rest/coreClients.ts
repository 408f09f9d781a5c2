import type { Client } from "@connectrpc/connect";
import type { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import type { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import type { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import type { PlatformService } from "../../gen/dcm/v1/platform_service_pb.ts";
import type { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { limits } from "../../gen/rest/limits.ts";

/** The core, as the translator sees it: RPC clients, in the same process or far away. */
export type CoreClients = {
  orders: Client<typeof OrderService>;
  paymentMessages: Client<typeof PaymentMessageService>;
  callbacks: Client<typeof CallbackService>;
  settlements: Client<typeof SettlementService>;
  participants: Client<typeof ParticipantService>;
  platform: Client<typeof PlatformService>;
};

/** Longer than the core needs for anything, shorter than the patience of a caller (wire contract, section 7, "408"). */
const RPC_TIMEOUT_MS = limits.answerSeconds * 1000;
export const rpcOptions = { timeoutMs: RPC_TIMEOUT_MS } as const;
