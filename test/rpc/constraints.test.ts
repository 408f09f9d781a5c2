import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import {
  create,
  createRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  getOption,
  hasOption,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  field as fieldRules,
  file_buf_validate_validate as language,
  oneof as oneofRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ListAuditEntriesRequestSchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { ListCallbacksRequestSchema, ResolveCallbackRequestSchema } from "../../gen/dcm/v1/callback_service_pb.ts";
import { AddCredentialRequestSchema } from "../../gen/dcm/v1/credential_service_pb.ts";
import { ErrorDetailSchema, ErrorReasonSchema } from "../../gen/dcm/v1/error_pb.ts";
import { CreateOrderRequestSchema, GetOrderRequestSchema } from "../../gen/dcm/v1/order_service_pb.ts";
import {
  AddParticipantKeyRequestSchema,
  GetParticipantRequestSchema,
  RegisterBankRequestSchema,
  SuspendParticipantRequestSchema,
  UpdateParticipantRequestSchema,
} from "../../gen/dcm/v1/participant_service_pb.ts";
import { ListRegistersRequestSchema, PayRegisterRequestSchema } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { limits } from "../../gen/rest/limits.ts";
import type { Core } from "../../src/core/core.ts";
import { coreServices } from "../../src/rpc/routes.ts";
import { assertConstraints } from "../../src/rpc/validation.ts";

const root = resolve(import.meta.dirname, "../..");

// ---------------------------------------------------------------------------------------- every field has a bound

const isForeign = ({ typeName }: DescMessage) => typeName.startsWith("google.protobuf.");

/** These messages and those of ours in their fields. */
function withNested(messages: readonly DescMessage[], found = new Set<DescMessage>()): Set<DescMessage> {
  for (const message of messages) {
    if (found.has(message) || isForeign(message)) continue;
    found.add(message);
    const nested = message.fields.flatMap((field) => (field.message === undefined ? [] : [field.message]));
    withNested(nested, found);
  }
  return found;
}

/** What a value of a field may be like, as far as a single one has no end by itself. */
function lacks(field: DescField, rules: FieldRules | undefined): string | undefined {
  if (field.fieldKind === "list") {
    if (rules?.type.case !== "repeated" || rules.type.value.maxItems === 0n) return "how many";
    const { items } = rules.type.value;
    if (field.listKind === "message") return undefined;
    return lacksOne(field.listKind === "enum" ? "enum" : field.scalar, items);
  }
  if (field.fieldKind === "message") {
    return field.message.typeName === "google.protobuf.Timestamp" ? lacksOne("timestamp", rules) : undefined;
  }
  if (field.fieldKind === "map") return "maps are not thought of";
  return lacksOne(field.fieldKind === "enum" ? "enum" : field.scalar, rules);
}

const [int64, int32, bool, string, bytes] = [3, 5, 8, 9, 12];

function lacksOne(kind: number | "enum" | "timestamp", rules: FieldRules | undefined): string | undefined {
  const given = rules?.type;
  switch (kind) {
    case bool:
      return undefined;
    case string: {
      const isBounded =
        given?.case === "string" &&
        (given.value.maxLen > 0n || given.value.maxBytes > 0n || given.value.wellKnown.case === "uuid");
      return isBounded ? undefined : "how long";
    }
    case bytes:
      return given?.case === "bytes" && given.value.maxLen > 0n ? undefined : "how long";
    case int32:
      return given?.case === "int32" && given.value.greaterThan.case === "gte" ? undefined : "from where on";
    case int64:
      return given?.case === "int64" && given.value.greaterThan.case === "gte" ? undefined : "from where on";
    case "enum":
      return given?.case === "enum" && given.value.definedOnly ? undefined : "that it is known";
    case "timestamp": {
      const hasBoth = given?.case === "timestamp" && given.value.greaterThan.case && given.value.lessThan.case;
      return hasBoth ? undefined : "between which instants";
    }
    default:
      return `what there is to say of this kind (${kind})`;
  }
}

/** Set by the platform: what a request says there is not looked at. */
const notLookedAt = ["dcm.v1.Participant.created_at", "dcm.v1.Participant.updated_at"];

/** Choices of what a list is restricted to. */
const mayBeMissing = ["dcm.v1.ListOrdersRequest.party", "dcm.v1.ListPaymentMessagesRequest.party"];

describe("the contract says of every field of every request", () => {
  const inputs = coreServices({} as Core).flatMap(({ service }) => service.methods.map(({ input }) => input));
  const messages = [...withNested(inputs)];

  test.each(messages.map((message) => [message.name, message] as const))(
    "%s: how long, how many, which",
    (_, message) => {
      const lacking = message.fields.flatMap((field) => {
        const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
        const name = `${message.typeName}.${field.name}`;
        const what = notLookedAt.includes(name) ? undefined : lacks(field, rules);
        return what === undefined ? [] : [`${name} does not say ${what}`];
      });
      expect(lacking).toEqual([]);
    },
  );

  test.each(messages.map((message) => [message.name, message] as const))(
    "%s: that one of a choice is there",
    (_, message) => {
      const choices = message.oneofs.filter(({ name }) => !mayBeMissing.includes(`${message.typeName}.${name}`));
      for (const oneof of choices) expect(getOption(oneof, oneofRules)).toMatchObject({ required: true });
    },
  );
});

// ------------------------------------------------------------------------------------- both contracts say the same

/** The rules of a field that the OpenAPI document limits as well, by its limit. */
const limitedTwice: ReadonlyArray<[limit: keyof typeof limits, keyword: string, ...fields: string[]]> = [
  [
    "requestBodyBytes",
    "maxBytes",
    "CreateOrderRequest.jws",
    "CancelOrderRequest.jws",
    "SubmitPaymentMessageRequest.jws",
  ],
  ["requestBodyBytes", "maxLen", "SubmitPaymentMessageRequest.body", "PayRegisterRequest.body"],
  ["requestBodyBytes", "maxLen", "ConfirmRegisterRequest.body", "AddOwnKeyRequest.body"],
  ["refChars", "maxLen", "ListOrdersRequest.ref"],
  ["externalIdChars", "maxLen", "ListPaymentMessagesRequest.external_id"],
  ["uidChars", "maxLen", "Participant.uid", "UpdateParticipantRequest.uid", "GetParticipantRequest.uid"],
  ["nameChars", "maxLen", "Participant.name", "UpdateParticipantRequest.name"],
  ["taxCodeChars", "maxLen", "Participant.tax_code", "UpdateParticipantRequest.tax_code"],
  ["keysAtOnce", "maxItems", "Participant.signing_jwks", "UpdateParticipantRequest.signing_jwks"],
];

test.each(limitedTwice)(
  "the limit %s of the OpenAPI document is %s in proto/ as well: %s %s %s",
  (limit, keyword, ...names) => {
    const fields = [
      ...withNested(coreServices({} as Core).flatMap(({ service }) => service.methods.map((m) => m.input))),
    ].flatMap((message) => message.fields);
    for (const name of names.filter((given) => given !== undefined)) {
      const field = fields.find((one) => `${one.parent.name}.${one.name}` === name);
      const rules = field && getOption(field, fieldRules).type.value;
      expect([name, (rules as unknown as Record<string, bigint> | undefined)?.[keyword]]).toEqual([
        name,
        BigInt(limits[limit]),
      ]);
    }
  },
);

// ------------------------------------------------------------------------------------------------- what callers hear

/** What is refused of a message, or undefined. */
function refusalOf<Schema extends DescMessage>(schema: Schema, init: MessageInitShape<Schema>) {
  try {
    assertConstraints(schema, create(schema, init));
    return undefined;
  } catch (error) {
    const [detail] = (error as ConnectError).findDetails(ErrorDetailSchema);
    return [detail && ErrorReasonSchema.value[detail.reason]?.localName, detail?.field, detail?.message];
  }
}

const guid = "01934c5e-7b1a-7c3d-8e4f-0123456789ab";
const from = (seconds: bigint) => ({ seconds });

describe("a request that breaks a constraint is refused in words for people, with its field and its reason", () => {
  const cases: ReadonlyArray<[string, ReturnType<typeof refusalOf>, reason: string, field: string, text: string]> = [
    [
      "no UUID",
      refusalOf(ListRegistersRequestSchema, { bankGuid: "305299" }),
      "INVALID_REQUEST",
      "bank_guid",
      "is not a UUID",
    ],
    [
      "no guid where one is needed",
      refusalOf(SuspendParticipantRequestSchema, {}),
      "PARTICIPANT_NOT_FOUND",
      "guid",
      "is missing",
    ],
    [
      "an order's id that is none",
      refusalOf(GetOrderRequestSchema, { orderId: "1" }),
      "ORDER_NOT_FOUND",
      "order_id",
      "is not a UUID",
    ],
    [
      "a long token",
      refusalOf(CreateOrderRequestSchema, { jws: "x".repeat(65_537) }),
      "INVALID_REQUEST",
      "jws",
      "has more than 65536 bytes",
    ],
    [
      "a token of many bytes",
      refusalOf(CreateOrderRequestSchema, { jws: "€".repeat(21_846) }),
      "INVALID_REQUEST",
      "jws",
      "has more than 65536 bytes",
    ],
    [
      "a long body",
      refusalOf(PayRegisterRequestSchema, { registerId: "1", body: new Uint8Array(65_537) }),
      "INVALID_REQUEST",
      "body",
      "has more than 65536 bytes",
    ],
    [
      "a long id",
      refusalOf(PayRegisterRequestSchema, { registerId: "1".repeat(33) }),
      "REGISTER_NOT_FOUND",
      "register_id",
      "has more than 32 characters",
    ],
    [
      "a long text",
      refusalOf(ResolveCallbackRequestSchema, { guid, note: "😀".repeat(2_001) }),
      "INVALID_REQUEST",
      "note",
      "has more than 2000 characters",
    ],
    ["no text", refusalOf(ResolveCallbackRequestSchema, { guid }), "INVALID_REQUEST", "note", "is missing"],
    [
      "a negative number",
      refusalOf(ListAuditEntriesRequestSchema, { pageSize: -1 }),
      "INVALID_REQUEST",
      "page_size",
      "is negative",
    ],
    [
      "a negative large number",
      refusalOf(SuspendParticipantRequestSchema, { guid, version: -1n }),
      "INVALID_REQUEST",
      "version",
      "is negative",
    ],
    [
      "a number out of a range",
      refusalOf(UpdateParticipantRequestSchema, { guid, feeBasisPoints: 10_001 }),
      "INVALID_REQUEST",
      "fee_basis_points",
      "is not between 0 and 10000",
    ],
    [
      "an unknown value",
      refusalOf(ListRegistersRequestSchema, { role: 9 as never }),
      "INVALID_REQUEST",
      "role",
      "has an unknown value",
    ],
    [
      "an unspecified one in a list",
      refusalOf(ListCallbacksRequestSchema, { filter: { states: [0] } }),
      "INVALID_REQUEST",
      "filter.states",
      "is missing",
    ],
    [
      "a list that is too long",
      refusalOf(AddCredentialRequestSchema, { name: "a", scopes: Array(11).fill(1) }),
      "INVALID_REQUEST",
      "scopes",
      "has more than 10 entries",
    ],
    [
      "no entry of a list",
      refusalOf(AddCredentialRequestSchema, { name: "a" }),
      "INVALID_REQUEST",
      "scopes",
      "is missing",
    ],
    [
      "no instant",
      refusalOf(AddCredentialRequestSchema, { name: "a", scopes: [1] }),
      "INVALID_REQUEST",
      "expires_at",
      "is missing",
    ],
    [
      "an instant in milliseconds",
      refusalOf(AddCredentialRequestSchema, { name: "a", scopes: [1], expiresAt: from(1_764_000_000_000n) }),
      "INVALID_REQUEST",
      "expires_at",
      "is out of range",
    ],
    [
      "an instant before our era",
      refusalOf(ListCallbacksRequestSchema, { filter: { since: from(-62_135_596_801n) } }),
      "INVALID_REQUEST",
      "filter.since",
      "is out of range",
    ],
    [
      "nothing of a choice",
      refusalOf(GetParticipantRequestSchema, {}),
      "INVALID_REQUEST",
      "by",
      "is missing: guid or bic or uid or kid",
    ],
    ["no bank to register", refusalOf(RegisterBankRequestSchema, {}), "INVALID_REQUEST", "bank", "is missing"],
    [
      "a bank code of five digits",
      refusalOf(RegisterBankRequestSchema, { bank: { bic: "30529" } }),
      "INVALID_REQUEST",
      "bic",
      "is not six digits",
    ],
    [
      "a long address",
      refusalOf(RegisterBankRequestSchema, { bank: { callbackUrls: { payIn: "h".repeat(2_001) } } }),
      "INVALID_CALLBACK_URL",
      "callback_urls.pay_in",
      "has more than 2000 characters",
    ],
    [
      "too many keys",
      refusalOf(RegisterBankRequestSchema, { bank: { signingJwks: Array(5).fill("{}") } }),
      "INVALID_KEY",
      "signing_jwks",
      "has more than 4 entries",
    ],
    [
      "a large key",
      refusalOf(RegisterBankRequestSchema, { bank: { signingJwks: ["x".repeat(16_385)] } }),
      "INVALID_KEY",
      "signing_jwks",
      "has more than 16384 bytes",
    ],
    ["no key to add", refusalOf(AddParticipantKeyRequestSchema, { guid }), "INVALID_REQUEST", "jwk", "is missing"],
  ];

  test.each(cases)("%s", (_, refusal, reason, field, text) => {
    expect(refusal).toEqual([reason, field, `${field} ${text}`]);
  });

  test("what lies at the end of what is allowed passes", () => {
    const passing = [
      refusalOf(CreateOrderRequestSchema, { jws: "x".repeat(65_536) }),
      refusalOf(ResolveCallbackRequestSchema, { guid: guid.toUpperCase(), note: "😀".repeat(2_000) }),
      refusalOf(ListRegistersRequestSchema, { from: from(-62_135_596_800n), to: from(253_402_300_799n) }),
      refusalOf(ListCallbacksRequestSchema, {}),
      refusalOf(UpdateParticipantRequestSchema, { guid, feeBasisPoints: 0, deepLinkPrefix: "" }),
    ];
    expect(passing).toEqual(passing.map(() => undefined));
  });
});

test("the language of constraints in proto/ is the one of the package that checks them", () => {
  const image = execFileSync(`${root}/node_modules/.bin/buf`, ["build", "--exclude-source-info", "-o", "-"], {
    cwd: root,
  });
  const { file } = fromBinary(FileDescriptorSetSchema, image);
  const printed = file.find(({ name }) => name === language.proto.name);
  const registry = createRegistry(language);
  // The order of fields in a file means nothing.
  const comparable = (proto: typeof printed) => {
    const sorted = proto?.messageType.map((message) => ({
      ...message,
      field: message.field.toSorted((a, b) => a.number - b.number),
    }));
    return toJson(FileDescriptorProtoSchema, { ...proto, messageType: sorted } as typeof language.proto, { registry });
  };
  expect(comparable(printed)).toEqual(comparable(language.proto));
});
