import { create, toJson } from "@bufbuild/protobuf";
import { type Participant, ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import {
  ListParticipantKeysResponseSchema,
  ListParticipantsResponseSchema,
  type UpdateParticipantRequest,
  UpdateParticipantRequestSchema,
} from "../../gen/dcm/v1/participant_service_pb.ts";
import { WrongCall } from "../commandLine.ts";
import { bankRoles, deepLinkContents, participantKinds } from "../wire/enums.ts";
import type { Answer, Call } from "./action.ts";
import { messageIn, readJson } from "./jsonFile.ts";
import { rowsOf } from "./pages.ts";
import { answerOf, json, keysLines, kindOf, participantLines, present, rolesOf, statusOf } from "./participantLines.ts";
import { table } from "./table.ts";
import { guidIn, namedOf, numberOf, yesOrNo } from "./values.ts";

const mostOfName = 48;

/** Shortened, because a name of 140 characters would push all other columns out of the window; `show` prints it whole. */
function beginOf(name: string): string {
  const characters = [...name];
  return characters.length > mostOfName ? `${characters.slice(0, mostOfName - 1).join("")}…` : name;
}

export async function list(call: Call): Promise<Answer> {
  const [kind = 0] = namedOf(call, "kind", participantKinds);
  const [role = 0] = namedOf(call, "role", bankRoles);
  const { rows: participants, more } = await rowsOf(call, async (page) => {
    const answer = await call.clients.participants.listParticipants({ kind, role, ...page });
    return { rows: answer.participants, nextPageToken: answer.nextPageToken };
  });
  const rows = participants.map((participant) => [
    participant.guid,
    kindOf(participant),
    statusOf(participant),
    beginOf(participant.name),
    participant.bic || participant.uid,
    rolesOf(participant),
  ]);
  return {
    json: toJson(ListParticipantsResponseSchema, create(ListParticipantsResponseSchema, { participants }), json),
    lines:
      rows.length === 0
        ? ["No participant matches."]
        : [...table(["GUID", "KIND", "STATUS", "NAME", "BIC/UID", "ROLES"], rows), ...more],
  };
}

export async function show(call: Call): Promise<Answer> {
  const others = (["bic", "uid", "kid"] as const).flatMap((name) => {
    const value = call.text(name);
    return value === undefined ? [] : [{ case: name, value }];
  });
  const text = call.positionals[0];
  const given = text === undefined ? others : [{ case: "guid" as const, value: guidIn(text, "GUID") }, ...others];
  const [by] = given;
  if (by === undefined || given.length > 1) throw new WrongCall("give one of GUID, --bic, --uid and --kid");
  const participant = present((await call.clients.participants.getParticipant({ by })).participant);
  const keys = await call.clients.participants.listParticipantKeys({ guid: participant.guid });
  const keysJson = toJson(ListParticipantKeysResponseSchema, keys, json) as object;
  return {
    json: { participant: toJson(ParticipantSchema, participant, json), ...keysJson },
    lines: [...participantLines(participant), "", ...keysLines(participant, keys, call.now)],
  };
}

export async function registerBank(call: Call): Promise<Answer> {
  const stated = await participantIn(call);
  const bank = {
    ...stated,
    requiresBodySha256: yesOrNo(call, REQUIRES_BODY) ?? stated.requiresBodySha256,
    deepLinkContent: linkContentOf(call) ?? stated.deepLinkContent,
  };
  const answer = await call.clients.participants.registerBank({ bank, prove: call.isOn("prove") });
  return answerOf(answer.bank, "The bank is registered.");
}

export async function registerMerchant(call: Call): Promise<Answer> {
  const merchant = await participantIn(call);
  const answer = await call.clients.participants.registerMerchant({ merchant, prove: call.isOn("prove") });
  return answerOf(answer.merchant, "The merchant is registered.");
}

async function participantIn(call: Call): Promise<Participant> {
  const [path = ""] = call.positionals;
  return messageIn(path, ParticipantSchema, await readJson(call, path));
}

export async function update(call: Call): Promise<Answer> {
  const [text = "", path] = call.positionals;
  const guid = guidIn(text, "GUID");
  const requiresBody = yesOrNo(call, REQUIRES_BODY);
  const deepLinkContent = linkContentOf(call);
  const version = numberOf(call, "version");
  if (path === undefined && requiresBody === undefined && deepLinkContent === undefined) {
    throw new WrongCall(`give FILE, --${REQUIRES_BODY} or --${LINK_CONTENT}`);
  }
  const change = path === undefined ? create(UpdateParticipantRequestSchema) : await changeIn(call, path);
  if (change.guid !== "" && change.guid.toLowerCase() !== guid) {
    throw new WrongCall(`${path} is about ${change.guid} and not about ${guid}`);
  }
  if (change.version !== 0n && version !== 0n && change.version !== version) {
    throw new WrongCall(`${path} is about version ${change.version} and not about ${version}`);
  }
  const answer = await call.clients.participants.updateParticipant({
    ...change,
    guid,
    version: version || change.version,
    ...(requiresBody !== undefined && { requiresBodySha256: requiresBody }),
    ...(deepLinkContent !== undefined && { deepLinkContent }),
  });
  return answerOf(answer.participant, "The participant is changed.");
}

async function changeIn(call: Call, path: string): Promise<UpdateParticipantRequest> {
  const content = await readJson(call, path);
  const empty = Object.entries(content ?? {}).find(([, value]) => Array.isArray(value) && value.length === 0);
  // On the wire an empty list is absent: the core would change the other fields and silently leave these.
  if (empty !== undefined)
    throw new WrongCall(`${path}: ${empty[0]} is empty, which would change nothing: leave it out`);
  return messageIn(path, UpdateParticipantRequestSchema, content);
}

const whomOf = (call: Call) => ({
  guid: guidIn(call.positionals[0] ?? "", "GUID"),
  version: numberOf(call, "version"),
});

export async function suspend(call: Call): Promise<Answer> {
  const { participant } = await call.clients.participants.suspendParticipant(whomOf(call));
  return answerOf(participant, "The participant is suspended.");
}

export async function resume(call: Call): Promise<Answer> {
  const { participant } = await call.clients.participants.resumeParticipant(whomOf(call));
  return answerOf(participant, "The participant takes part again.");
}

export async function close(call: Call): Promise<Answer> {
  const { participant } = await call.clients.participants.closeParticipant(whomOf(call));
  return answerOf(participant, "The participant is closed, for ever.");
}

const REQUIRES_BODY = "requires-body-sha256";
const LINK_CONTENT = "deep-link-content";

/** Undefined when the option was not given. */
const linkContentOf = (call: Call) => namedOf(call, LINK_CONTENT, deepLinkContents).at(-1);
