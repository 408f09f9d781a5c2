import { create, type DescMessage, fromJson, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Participant, ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import {
  ListParticipantsResponseSchema,
  UpdateParticipantRequestSchema,
} from "../../gen/dcm/v1/participant_service_pb.ts";
import { keysAsText } from "../participantsFile.ts";
import {
  bankRoles,
  callbackAlgs,
  callbackBodyFormats,
  nameOf,
  participantKinds,
  participantStatuses,
} from "../rpc/enums.ts";
import { type Action, type Answer, type Call, WrongCall } from "./action.ts";
import { fields, table, when } from "./table.ts";
import { countOf, guidIn, namedOf, yesOrNo } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const rolesOf = (participant: Participant) =>
  participant.roles.map((role) => nameOf(bankRoles, role) ?? "unknown").join(", ");
const kindOf = (participant: Participant) => nameOf(participantKinds, participant.kind) ?? "unknown";

async function list(call: Call): Promise<Answer> {
  const [kind = 0] = namedOf(call, "kind", participantKinds);
  const [role = 0] = namedOf(call, "role", bankRoles);
  const limit = countOf(call, "limit", 100, 100_000);
  const participants: Participant[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(500, limit - participants.length);
    const page = await call.clients.participants.listParticipants({ kind, role, pageSize, pageToken });
    participants.push(...page.participants);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && participants.length < limit);
  const rows = participants.map((participant) => [
    participant.guid,
    kindOf(participant),
    participant.name,
    participant.bic || participant.uid,
    rolesOf(participant),
  ]);
  const more = pageToken === "" ? [] : [`There are more than ${limit}; --limit shows more.`];
  return {
    json: toJson(ListParticipantsResponseSchema, create(ListParticipantsResponseSchema, { participants }), json),
    lines:
      rows.length === 0
        ? ["No participant matches."]
        : [...table(["GUID", "KIND", "NAME", "BIC/UID", "ROLES"], rows), ...more],
  };
}

/** Keys are public; their kid is what people compare. */
const kidOf = (jwk: string) => String((JSON.parse(jwk) as { kid?: unknown }).kid ?? "without kid");

function answerOf(participant: Participant | undefined, sentence?: string): Answer {
  if (participant === undefined) throw new Error("the core answered without a participant");
  const urls = participant.callbackUrls;
  return {
    json: toJson(ParticipantSchema, participant, json),
    lines: [
      ...(sentence === undefined ? [] : [sentence, ""]),
      ...fields([
        ["guid", participant.guid],
        ["kind", kindOf(participant)],
        ["name", participant.name],
        ["tax code", participant.taxCode],
        ["bic", participant.bic],
        ["uid", participant.uid],
        ["roles", rolesOf(participant)],
        ["iban", participant.iban],
        ["mcc", participant.mcc],
        ["servicing bank", participant.servicingBankGuid],
        ["base URL", urls?.base ?? ""],
        ["pay_in URL", urls?.payIn ?? ""],
        ["pay_out URL", urls?.payOut ?? ""],
        ["credit URL", urls?.credit ?? ""],
        ["expiration URL", urls?.expiration ?? ""],
        ["gross_settlement URL", urls?.grossSettlement ?? ""],
        ["status", nameOf(participantStatuses, participant.status) ?? ""],
        ["callback alg", nameOf(callbackAlgs, participant.callbackAlg) ?? ""],
        ["callback body", nameOf(callbackBodyFormats, participant.callbackBodyFormat) ?? ""],
        ["signing keys", participant.signingJwks.map(kidOf).join(", ")],
        ["encryption key", participant.encryptionJwk === "" ? "" : kidOf(participant.encryptionJwk)],
        ["key set URL", participant.jwksUrl],
        ["requires body_sha256", participant.requiresBodySha256 ? "yes" : "no"],
        ["e-mail", participant.email],
        ["fee", `${participant.feeBasisPoints} basis points`],
        ["version", String(participant.version)],
        ["updated", when(participant.updatedAt)],
      ]),
    ],
  };
}

async function get(call: Call): Promise<Answer> {
  const keys = (["bic", "uid", "kid"] as const).flatMap((name) => {
    const value = call.text(name);
    return value === undefined ? [] : [{ case: name, value }];
  });
  const text = call.positionals[0];
  const given = text === undefined ? keys : [{ case: "guid" as const, value: guidIn(text, "GUID") }, ...keys];
  const [by] = given;
  if (by === undefined || given.length > 1) throw new WrongCall("give one of GUID, --bic, --uid and --kid");
  return answerOf((await call.clients.participants.getParticipant({ by })).participant);
}

async function readMessage<Schema extends DescMessage>(
  call: Call,
  schema: Schema,
  path: string,
): Promise<MessageShape<Schema>> {
  let text: string;
  try {
    text = await call.readText(path);
  } catch (error) {
    throw new WrongCall(`${path} cannot be read: ${(error as Error).message}`);
  }
  try {
    return fromJson(schema, keysAsText(JSON.parse(text)));
  } catch (error) {
    throw new WrongCall(`${path} does not hold a ${schema.typeName} as JSON: ${(error as Error).message}`);
  }
}

async function registerBank(call: Call): Promise<Answer> {
  const stated = await readMessage(call, ParticipantSchema, call.positionals[0] ?? "");
  const bank = { ...stated, requiresBodySha256: yesOrNo(call, REQUIRES_BODY) ?? stated.requiresBodySha256 };
  return answerOf((await call.clients.participants.registerBank({ bank })).bank, "The bank is registered.");
}

async function registerMerchant(call: Call): Promise<Answer> {
  const merchant = await readMessage(call, ParticipantSchema, call.positionals[0] ?? "");
  const answer = await call.clients.participants.registerMerchant({ merchant });
  return answerOf(answer.merchant, "The merchant is registered.");
}

async function update(call: Call): Promise<Answer> {
  const [text = "", path] = call.positionals;
  const guid = guidIn(text, "GUID");
  const requiresBody = yesOrNo(call, REQUIRES_BODY);
  if (path === undefined && requiresBody === undefined) throw new WrongCall(`give FILE or --${REQUIRES_BODY}`);
  const change =
    path === undefined
      ? create(UpdateParticipantRequestSchema)
      : await readMessage(call, UpdateParticipantRequestSchema, path);
  if (change.guid !== "" && change.guid.toLowerCase() !== guid) {
    throw new WrongCall(`${path} is about ${change.guid} and not about ${guid}`);
  }
  const answer = await call.clients.participants.updateParticipant({
    ...change,
    guid,
    ...(requiresBody !== undefined && { requiresBodySha256: requiresBody }),
  });
  return answerOf(answer.participant, "The participant is changed.");
}

const REQUIRES_BODY = "requires-body-sha256";
const requiresBodyOption = {
  [REQUIRES_BODY]: {
    type: "string",
    value: "yes|no",
    help: "Whether the bank's requests that change something are refused without the claim body_sha256.",
  },
} as const satisfies Action["options"];

const FILE_HELP = "FILE holds a dcm.v1.Participant as JSON, keys as JSON objects or texts; - reads standard input.";

export const participantActions = {
  list: {
    positionals: [],
    options: {
      kind: { type: "string", value: "KIND", help: "bank or merchant." },
      role: { type: "string", value: "ROLE", help: "Only banks that are initiator or recipient." },
      limit: { type: "string", value: "N", help: "At most so many. Default: 100." },
    },
    help: "List participants by name.",
    run: list,
  },
  get: {
    positionals: ["[GUID]"],
    options: {
      bic: { type: "string", value: "BIC", help: "Find a bank by its code." },
      uid: { type: "string", value: "UID", help: "Find a merchant by its uid." },
      kid: { type: "string", value: "KID", help: "Find a bank by the kid of a signing key." },
    },
    help: "Show one participant.",
    run: get,
  },
  "register-bank": {
    positionals: ["FILE"],
    options: requiresBodyOption,
    help: `Register a bank; the same content again is safe. ${FILE_HELP}`,
    run: registerBank,
  },
  "register-merchant": {
    positionals: ["FILE"],
    options: {},
    help: `Register a merchant; the same content again is safe. ${FILE_HELP}`,
    run: registerMerchant,
  },
  update: {
    positionals: ["GUID", "[FILE]"],
    options: requiresBodyOption,
    help: "Change keys, URLs and details. FILE holds what changes, a dcm.v1.UpdateParticipantRequest as JSON.",
    run: update,
  },
} as const satisfies Record<string, Action>;
