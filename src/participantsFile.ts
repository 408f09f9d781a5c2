import { readFile } from "node:fs/promises";
import { fromJson } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { ParticipantSchema } from "../gen/dcm/v1/participant_pb.ts";
import type { Core } from "./core/core.ts";
import type { Registration } from "./core/participants.ts";
import { platformActor } from "./domain/actor.ts";
import { isRefusal } from "./domain/errors.ts";
import { type ParticipantKind, participantKinds } from "./domain/participant.ts";
import type { Logger } from "./observe/log.ts";
import { keysAsText } from "./participantJson.ts";
import { registration } from "./rpc/services/participant.ts";
import { assertConstraints } from "./rpc/validation.ts";

/**
 * Registers the banks and merchants of a file: `{"banks": [...], "merchants": [...]}`, each entry a `dcm.v1.Participant` in
 * Protobuf's JSON form; keys may be written as objects. It only adds: a registered participant stays as it is. Mistakes in the file
 * throw, with the entry and the field. Mistakes at the participant's end (its published keys, the DNS of its hosts) only leave that
 * participant out, so that a stranger cannot stop the start.
 */
export async function loadParticipants(core: Core, file: string | undefined, log: Logger): Promise<void> {
  if (file === undefined) return;
  const content = parse(file, await readFile(file, "utf8"));
  const loading: Loading = { core, file, log, guidsLeftOut: new Set() };
  const outcomes: Outcome[] = [];
  // Banks first: merchants name the bank that services them.
  for (const kind of participantKinds) {
    const entries = content[kind].map((entry, index) => readEntry(file, kind, index, entry));
    for (let next = 0; next < entries.length; next += atOnce[kind]) {
      const group = entries.slice(next, next + atOnce[kind]);
      outcomes.push(...(await Promise.all(group.map((entry) => loadEntry(loading, entry)))));
    }
  }
  const count = (counted: Outcome) => outcomes.filter((outcome) => outcome === counted).length;
  const counts = {
    added: count("added"),
    known: count("known"),
    differing: count("differing"),
    leftOut: count("leftOut"),
  };
  log.info({ file, ...counts }, "the participants of the file are registered");
}

/**
 * How many are registered at the same time, because one whose host does not answer takes seconds. Banks go one by one: their kids
 * must be unique.
 */
const atOnce = { bank: 1, merchant: 10 } as const satisfies Record<ParticipantKind, number>;

type Loading = {
  core: Core;
  file: string;
  log: Logger;
  /** Participants that were left out; merchants of such a bank are left out as well. */
  guidsLeftOut: Set<string>;
};

/** `differing`: registered already, with other content, and left as it is. */
type Outcome = "added" | "known" | "differing" | "leftOut";

type Entry = { kind: ParticipantKind; name: string; wanted: Registration };

function parse(file: string, text: string): Record<ParticipantKind, unknown[]> {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(`${file} is not JSON`);
  }
  const { banks = [], merchants = [] } = (content ?? {}) as { banks?: unknown; merchants?: unknown };
  if (!Array.isArray(banks) || !Array.isArray(merchants)) {
    throw new Error(`${file}: banks and merchants must be lists`);
  }
  return { bank: banks, merchant: merchants };
}

function readEntry(file: string, kind: ParticipantKind, index: number, entry: unknown): Entry {
  const name = `${kind} ${index + 1}`;
  try {
    const participant = fromJson(ParticipantSchema, keysAsText(entry));
    assertConstraints(ParticipantSchema, participant);
    const wanted = registration(kind, participant);
    // A bank has its code. A merchant without uid and guid would be registered again at every start.
    if (kind === "merchant" && wanted.uid === null && wanted.guid === null) throw new Error("uid is missing");
    return { kind, name, wanted };
  } catch (error) {
    throw new Error(`${file}: ${name}: ${ConnectError.from(error).rawMessage}`);
  }
}

async function loadEntry({ core, file, log, guidsLeftOut }: Loading, entry: Entry): Promise<Outcome> {
  const { kind, wanted } = entry;
  const answer = await core.ensureParticipant(platformActor, wanted);
  if (!isRefusal(answer)) return answer.alreadyExisted ? "known" : "added";
  const party = wanted.bic ?? wanted.uid ?? wanted.guid ?? wanted.name;
  const context = { file, entry: entry.name, party };
  if (answer.refused === "PARTICIPANT_EXISTS") {
    const advice = "a known participant differs from the file; the file changes nothing, use `participants update`";
    log.warn({ ...context, fields: answer.fields }, advice);
    return "differing";
  }
  const lacksBank = answer.field === "servicing_bank_guid" && guidsLeftOut.has(wanted.servicingBankGuid ?? "");
  if (!answer.elsewhere && !lacksBank) throw new Error(`${file}: ${entry.name}: ${answer.message}`);
  if (wanted.guid !== null) guidsLeftOut.add(wanted.guid.toLowerCase());
  const advice = lacksBank
    ? "a merchant is left out with the bank that services it; start again when the bank can be registered"
    : `a ${kind} is left out: have it repair what it publishes, then start again or use \`participants register-${kind}\``;
  log.warn({ ...context, field: answer.field, problem: answer.message }, advice);
  return "leftOut";
}
