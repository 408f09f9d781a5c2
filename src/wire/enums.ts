import { Access as AccessValue } from "../../gen/dcm/v1/access_pb.ts";
import { AuditAct } from "../../gen/dcm/v1/audit_service_pb.ts";
import * as pb from "../../gen/dcm/v1/callback_pb.ts";
import { OrderStatus, PaymentState } from "../../gen/dcm/v1/order_pb.ts";
import {
  BankRole,
  CallbackAlg,
  CallbackBodyFormat,
  DeepLinkContent,
  KeyUse,
  ParticipantKind,
  ParticipantStatus,
} from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentMessageStatus, PaymentType, SenderAccountType } from "../../gen/dcm/v1/payment_message_pb.ts";
import { PlatformKeyState } from "../../gen/dcm/v1/platform_service_pb.ts";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import { RegisterActKind, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import type * as audit from "../domain/audit.ts";
import type { CallbackKind, CallbackState } from "../domain/callback.ts";
import type { Scope as ScopeName } from "../domain/credential.ts";
import type * as order from "../domain/order.ts";
import type * as participant from "../domain/participant.ts";
import type * as paymentMessage from "../domain/paymentMessage.ts";
import type * as platformKey from "../domain/platformKey.ts";
import type * as settlement from "../domain/settlement.ts";

// Every closed list of the domain and its values on the wire.

type Enumeration = { readonly [name: string]: number };
type Missing<Enum extends Enumeration, Table> = Exclude<Enum[keyof Enum], 0 | Table[keyof Table]>;

/** A table in which every value of an enumeration has a name: a value that is added to `proto/` and has none does not compile. */
const everyValueOf = <Enum extends Enumeration, Table extends Enumeration>(
  _enumeration: Enum,
  table: Table & ([Missing<Enum, Table>] extends [never] ? unknown : { valueWithoutName: Missing<Enum, Table> }),
): Table => table;

export const orderStatuses = everyValueOf(OrderStatus, {
  created: OrderStatus.CREATED,
  in_progress: OrderStatus.IN_PROGRESS,
  success: OrderStatus.SUCCESS,
  canceled: OrderStatus.CANCELED,
} as const satisfies Record<order.OrderStatus, OrderStatus>);

export const paymentStates = everyValueOf(PaymentState, {
  waiting: PaymentState.WAITING,
  processing: PaymentState.PROCESSING,
  paid: PaymentState.PAID,
  rejected: PaymentState.REJECTED,
  expired: PaymentState.EXPIRED,
  canceled: PaymentState.CANCELED,
} as const satisfies Record<order.PaymentState, PaymentState>);

export const paymentMessageStatuses = everyValueOf(PaymentMessageStatus, {
  pending: PaymentMessageStatus.PENDING,
  success: PaymentMessageStatus.SUCCESS,
  reject: PaymentMessageStatus.REJECT,
} as const satisfies Record<paymentMessage.PaymentMessageStatus, PaymentMessageStatus>);

export const paymentTypes = everyValueOf(PaymentType, {
  trade: PaymentType.TRADE,
  p2p: PaymentType.P2P,
  return: PaymentType.RETURN,
  aid: PaymentType.AID,
} as const satisfies Record<paymentMessage.PaymentType, PaymentType>);

export const senderAccountTypes = everyValueOf(SenderAccountType, {
  "limit-related": SenderAccountType.LIMIT_RELATED,
  "aid-related": SenderAccountType.AID_RELATED,
} as const satisfies Record<paymentMessage.SenderAccountType, SenderAccountType>);

export const scopes = everyValueOf(Scope, {
  gateway: Scope.GATEWAY,
  reader: Scope.READER,
  operator: Scope.OPERATOR,
} as const satisfies Record<ScopeName, Scope>);

/**
 * The callers that a method can admit: a bank, a merchant by an order that it signed or by its access token, or a service by scope.
 */
export type Access = "bank" | "merchant" | "order_jws" | ScopeName;

export const accesses = everyValueOf(AccessValue, {
  bank: AccessValue.BANK,
  merchant: AccessValue.MERCHANT,
  order_jws: AccessValue.ORDER_JWS,
  gateway: AccessValue.GATEWAY,
  reader: AccessValue.READER,
  operator: AccessValue.OPERATOR,
} as const satisfies Record<Access, AccessValue>);

export const participantKinds = everyValueOf(ParticipantKind, {
  bank: ParticipantKind.BANK,
  merchant: ParticipantKind.MERCHANT,
} as const satisfies Record<participant.ParticipantKind, ParticipantKind>);

export const bankRoles = everyValueOf(BankRole, {
  initiator: BankRole.INITIATOR,
  recipient: BankRole.RECIPIENT,
} as const satisfies Record<participant.BankRole, BankRole>);

export const callbackBodyFormats = everyValueOf(CallbackBodyFormat, {
  json: CallbackBodyFormat.JSON,
  text: CallbackBodyFormat.TEXT,
} as const satisfies Record<participant.CallbackBodyFormat, CallbackBodyFormat>);

export const callbackAlgs = everyValueOf(CallbackAlg, {
  RS256: CallbackAlg.RS256,
  ES256: CallbackAlg.ES256,
  EdDSA: CallbackAlg.EDDSA,
} as const satisfies Record<participant.CallbackAlg, CallbackAlg>);

export const deepLinkContents = everyValueOf(DeepLinkContent, {
  signed_order: DeepLinkContent.SIGNED_ORDER,
  order_id: DeepLinkContent.ORDER_ID,
} as const satisfies Record<participant.DeepLinkContent, DeepLinkContent>);

export const keyUses = everyValueOf(KeyUse, {
  sig: KeyUse.SIG,
  enc: KeyUse.ENC,
} as const satisfies Record<participant.KeyUse, KeyUse>);

export const participantStatuses = everyValueOf(ParticipantStatus, {
  active: ParticipantStatus.ACTIVE,
  suspended: ParticipantStatus.SUSPENDED,
  closed: ParticipantStatus.CLOSED,
} as const satisfies Record<participant.ParticipantStatus, ParticipantStatus>);

export const registerStatuses = everyValueOf(RegisterStatus, {
  sent: RegisterStatus.SENT,
  sent_no_pm: RegisterStatus.SENT_NO_PM,
  sent_internal: RegisterStatus.SENT_INTERNAL,
  processing: RegisterStatus.PROCESSING,
  paid: RegisterStatus.PAID,
} as const satisfies Record<settlement.RegisterStatus, RegisterStatus>);

export const registerActKinds = everyValueOf(RegisterActKind, {
  made: RegisterActKind.MADE,
  told: RegisterActKind.TOLD,
  paid: RegisterActKind.PAID,
  confirmed: RegisterActKind.CONFIRMED,
  rejected: RegisterActKind.REJECTED,
  internal: RegisterActKind.INTERNAL,
  reopened: RegisterActKind.REOPENED,
} as const satisfies Record<settlement.RegisterActKind, RegisterActKind>);

export const callbackKinds = everyValueOf(pb.CallbackKind, {
  pay_in_bank: pb.CallbackKind.PAY_IN_BANK,
  pay_in_merchant: pb.CallbackKind.PAY_IN_MERCHANT,
  pay_out: pb.CallbackKind.PAY_OUT,
  credit: pb.CallbackKind.CREDIT,
  pay_in_bank_reject: pb.CallbackKind.PAY_IN_BANK_REJECT,
  pay_in_merchant_reject: pb.CallbackKind.PAY_IN_MERCHANT_REJECT,
  expiration: pb.CallbackKind.EXPIRATION,
  gross_settlement: pb.CallbackKind.GROSS_SETTLEMENT,
} as const satisfies Record<CallbackKind, pb.CallbackKind>);

export const callbackStates = everyValueOf(pb.CallbackState, {
  waiting: pb.CallbackState.WAITING,
  in_flight: pb.CallbackState.IN_FLIGHT,
  delivered: pb.CallbackState.DELIVERED,
  failed: pb.CallbackState.FAILED,
  review: pb.CallbackState.REVIEW,
  resolved: pb.CallbackState.RESOLVED,
  dead: pb.CallbackState.DEAD,
} as const satisfies Record<CallbackState, pb.CallbackState>);

export const auditActs = everyValueOf(AuditAct, {
  participant_registered: AuditAct.PARTICIPANT_REGISTERED,
  participant_updated: AuditAct.PARTICIPANT_UPDATED,
  credential_added: AuditAct.CREDENTIAL_ADDED,
  credential_revoked: AuditAct.CREDENTIAL_REVOKED,
  callback_replayed: AuditAct.CALLBACK_REPLAYED,
  callback_resolved: AuditAct.CALLBACK_RESOLVED,
  redrive_asked: AuditAct.REDRIVE_ASKED,
  redrive_done: AuditAct.REDRIVE_DONE,
  register_reopened: AuditAct.REGISTER_REOPENED,
  day_closed: AuditAct.DAY_CLOSED,
  participant_suspended: AuditAct.PARTICIPANT_SUSPENDED,
  participant_resumed: AuditAct.PARTICIPANT_RESUMED,
  participant_closed: AuditAct.PARTICIPANT_CLOSED,
  participant_key_added: AuditAct.PARTICIPANT_KEY_ADDED,
  participant_key_retired: AuditAct.PARTICIPANT_KEY_RETIRED,
  platform_key_announced: AuditAct.PLATFORM_KEY_ANNOUNCED,
  platform_key_retired: AuditAct.PLATFORM_KEY_RETIRED,
  platform_keys_reencrypted: AuditAct.PLATFORM_KEYS_REENCRYPTED,
} as const satisfies Record<audit.AuditAct, AuditAct>);

export const platformKeyStates = everyValueOf(PlatformKeyState, {
  announced: PlatformKeyState.ANNOUNCED,
  active: PlatformKeyState.ACTIVE,
  retiring: PlatformKeyState.RETIRING,
  retired: PlatformKeyState.RETIRED,
} as const satisfies Record<platformKey.PlatformKeyState, PlatformKeyState>);

/** The domain's name of a wire value, or undefined for "unspecified" and for values of a newer client. */
export function nameOf<Name extends string>(table: Readonly<Record<Name, number>>, value: number): Name | undefined {
  return (Object.keys(table) as Name[]).find((name) => table[name] === value);
}

/**
 * The domain's name of an enum value in the core's answer. A value without one comes from a core newer than this program, which is
 * a fault of the deployment and not of the request, so it throws.
 */
export function answeredName<Name extends string>(table: Readonly<Record<Name, number>>, value: number): Name {
  const name = nameOf(table, value);
  if (name === undefined) throw new Error(`the core answered an enum value that is not known here: ${value}`);
  return name;
}
