import { toJson } from "@bufbuild/protobuf";
import { PingParticipantResponseSchema, type PingResult } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { Answer, Call } from "./action.ts";
import { json } from "./participantLines.ts";
import { fields } from "./table.ts";
import { guidIn } from "./values.ts";

export async function ping(call: Call): Promise<Answer> {
  const guid = guidIn(call.positionals[0] ?? "", "GUID");
  const answer = await call.clients.participants.pingParticipant({ guid });
  return {
    json: toJson(PingParticipantResponseSchema, answer, json),
    lines: answer.results.flatMap((result, place) => [...(place === 0 ? [] : [""]), ...resultLines(result)]),
    isAlarming: answer.results.some(({ outcome }) => outcome !== "accepted"),
  };
}

const resultLines = (result: PingResult) =>
  fields([
    ["address", result.url],
    ["of", result.urlNames.join(", ")],
    ["outcome", result.outcome === "accepted" ? "it works" : result.outcome],
    ["status", result.httpStatus === 0 ? "" : String(result.httpStatus)],
    ["took", `${result.durationMs} ms`],
    ["problem", result.problem],
    ["proves", result.provenKids.join(", ") || "no key"],
    ["answer", result.answer],
  ]);
