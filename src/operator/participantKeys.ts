import { toJson } from "@bufbuild/protobuf";
import { ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import { AddParticipantKeyResponseSchema } from "../../gen/dcm/v1/participant_service_pb.ts";
import { printable, WrongCall } from "../commandLine.ts";
import type { Answer, Call } from "./action.ts";
import { readJson } from "./jsonFile.ts";
import { json, keysLines, present } from "./participantLines.ts";

import { guidIn, instantAfter, numberOf } from "./values.ts";

export async function addKey(call: Call): Promise<Answer> {
  const [text = "", path = ""] = call.positionals;
  const guid = guidIn(text, "GUID");
  const retireOthersAt = instantAfter(call, "retire-others-in");
  const jwk = await readJson(call, path);
  if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) {
    throw new WrongCall(`${path} does not hold one JSON Web Key as a JSON object`);
  }
  const answer = await call.clients.participants.addParticipantKey({
    guid,
    jwk: JSON.stringify(jwk),
    ...(retireOthersAt && { retireOthersAt }),
    prove: call.isOn("prove"),
  });
  // If the key was there already nothing was changed, not even the retirement of others, so the present state is shown.
  return {
    json: toJson(AddParticipantKeyResponseSchema, answer, json),
    lines: [`The participant has the key ${printable(answer.kid)}.`, "", ...(await keysNow(call, guid))],
  };
}

export async function retireKey(call: Call): Promise<Answer> {
  const [text = "", kid = ""] = call.positionals;
  const guid = guidIn(text, "GUID");
  const at = instantAfter(call, "in");
  const id = numberOf(call, "id");
  const isToCome = at !== undefined && at.seconds > 0n;
  const { participant } = await call.clients.participants.retireParticipantKey({ guid, kid, id, ...(at && { at }) });
  return {
    json: toJson(ParticipantSchema, present(participant), json),
    lines: [`The key ${printable(kid)} ${isToCome ? "will be" : "is"} retired.`, "", ...(await keysNow(call, guid))],
  };
}

/** The keys after a change. The clock is read after it: keys that it has retired now were not retired when the command began. */
async function keysNow(call: Call, guid: string): Promise<string[]> {
  const { participants } = call.clients;
  const [{ participant }, keys] = await Promise.all([
    participants.getParticipant({ by: { case: "guid", value: guid } }),
    participants.listParticipantKeys({ guid }),
  ]);
  return [
    ...keysLines(present(participant), keys, new Date()),
    ...(keys.keySet ? ["", "It publishes its keys: what its key set holds when it is read next counts instead."] : []),
  ];
}
