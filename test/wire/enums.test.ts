import type { DescEnum } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AccessSchema } from "../../gen/dcm/v1/access_pb.ts";
import { AuditActSchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { CallbackKindSchema, CallbackStateSchema } from "../../gen/dcm/v1/callback_pb.ts";
import { ErrorReasonSchema } from "../../gen/dcm/v1/error_pb.ts";
import { OrderStatusSchema } from "../../gen/dcm/v1/order_pb.ts";
import {
  BankRoleSchema,
  CallbackAlgSchema,
  CallbackBodyFormatSchema,
  DeepLinkContentSchema,
  ParticipantKindSchema,
  ParticipantStatusSchema,
} from "../../gen/dcm/v1/participant_pb.ts";
import {
  PaymentMessageStatusSchema,
  PaymentTypeSchema,
  SenderAccountTypeSchema,
} from "../../gen/dcm/v1/payment_message_pb.ts";
import { PlatformKeyStateSchema } from "../../gen/dcm/v1/platform_service_pb.ts";
import { ScopeSchema } from "../../gen/dcm/v1/scope_pb.ts";
import { RegisterStatusSchema } from "../../gen/dcm/v1/settlement_pb.ts";
import { refusalReasons } from "../../src/domain/errors.ts";
import { codeOfReason } from "../../src/rpc/errors.ts";
import * as enums from "../../src/wire/enums.ts";

/** The values of an enum as they stand in proto/, without "unspecified". */
const meaningful = ({ values }: DescEnum) => values.filter(({ number }) => number !== 0);

describe("every closed list holds the same on the wire and in the domain", () => {
  const tables: ReadonlyArray<[DescEnum, Record<string, number>]> = [
    [OrderStatusSchema, enums.orderStatuses],
    [PaymentMessageStatusSchema, enums.paymentMessageStatuses],
    [PaymentTypeSchema, enums.paymentTypes],
    [SenderAccountTypeSchema, enums.senderAccountTypes],
    [ParticipantKindSchema, enums.participantKinds],
    [BankRoleSchema, enums.bankRoles],
    [CallbackBodyFormatSchema, enums.callbackBodyFormats],
    [CallbackAlgSchema, enums.callbackAlgs],
    [DeepLinkContentSchema, enums.deepLinkContents],
    [ParticipantStatusSchema, enums.participantStatuses],
    [RegisterStatusSchema, enums.registerStatuses],
    [CallbackKindSchema, enums.callbackKinds],
    [CallbackStateSchema, enums.callbackStates],
    [ScopeSchema, enums.scopes],
    [AccessSchema, enums.accesses],
    [AuditActSchema, enums.auditActs],
    [PlatformKeyStateSchema, enums.platformKeyStates],
  ];

  test.each(tables.map(([schema, table]) => [schema.name, schema, table] as const))("%s", (_, schema, table) => {
    const numbers = (values: number[]) => values.sort((a, b) => a - b);
    expect(numbers(Object.values(table))).toEqual(numbers(meaningful(schema).map(({ number }) => number)));
    for (const { number, localName } of meaningful(schema)) {
      const name = enums.nameOf(table, number);
      expect(name?.replaceAll("-", "_").toUpperCase()).toBe(localName);
    }
    expect(enums.nameOf(table, 0)).toBeUndefined();
    expect(enums.nameOf(table, 999)).toBeUndefined();
  });

  test("ErrorReason and the domain's reasons have the same names", () => {
    const onTheWire = meaningful(ErrorReasonSchema).map(({ name }) => name.replace(/^ERROR_REASON_/, ""));
    expect(onTheWire.sort()).toEqual([...refusalReasons].sort());
    expect(Object.keys(codeOfReason).sort()).toEqual([...refusalReasons].sort());
  });
});
