import { readFile } from "node:fs/promises";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ParticipantSchema } from "../gen/dcm/v1/participant_pb.ts";
import type { Core } from "./core/core.ts";
import { isRefusal } from "./domain/errors.ts";
import type { ParticipantKind } from "./domain/participant.ts";
import type { Logger } from "./log.ts";
import { registration } from "./rpc/requests.ts";

/**
 * Registers the banks and merchants of a file: `{"banks": [...], "merchants": [...]}`, each entry a `dcm.v1.Participant`
 * in Protobuf's JSON form; keys may be written as JSON objects. What is registered already with the same content stays.
 * Throws with the entry and the field when one is refused: a platform with half of its participants must not start.
 */
export async function loadParticipants(core: Core, file: string | undefined, log: Logger): Promise<void> {
  if (file === undefined) return;
  const content = parse(file, await readFile(file, "utf8"));
  // Banks first: merchants name the bank that services them.
  const banks = await registerAll(core, file, "bank", content.banks ?? []);
  const merchants = await registerAll(core, file, "merchant", content.merchants ?? []);
  log.info({ file, banks, merchants }, "participants registered");
}

type Content = { banks?: unknown[]; merchants?: unknown[] };

function parse(file: string, text: string): Content {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(`${file} is not JSON`);
  }
  const isList = (value: unknown) => value === undefined || Array.isArray(value);
  const { banks, merchants } = (content ?? {}) as Content;
  if (!isList(banks) || !isList(merchants)) throw new Error(`${file}: banks and merchants must be lists`);
  return { ...(banks && { banks }), ...(merchants && { merchants }) };
}

async function registerAll(core: Core, file: string, kind: ParticipantKind, entries: unknown[]): Promise<number> {
  for (const [index, entry] of entries.entries()) {
    const place = `${file}: ${kind} ${index + 1}`;
    try {
      const participant = fromJson(ParticipantSchema, keysAsText(entry));
      const answer = await core.registerParticipant(registration(kind, participant));
      if (isRefusal(answer)) throw new Error(answer.message);
    } catch (error) {
      throw new Error(`${place}: ${(error as Error).message}`);
    }
  }
  return entries.length;
}

/** Keys travel as JSON texts in the Protobuf contract; in a file people write them as the objects that they are. */
export function keysAsText(entry: unknown): JsonValue {
  if (typeof entry !== "object" || entry === null) return entry as JsonValue;
  const asText = (key: unknown) => (typeof key === "string" ? key : JSON.stringify(key));
  const participant = { ...entry } as Record<string, unknown>;
  for (const name of ["signing_jwks", "signingJwks"]) {
    const keys = participant[name];
    if (Array.isArray(keys)) participant[name] = keys.map(asText);
  }
  for (const name of ["encryption_jwk", "encryptionJwk"]) {
    if (participant[name] !== undefined) participant[name] = asText(participant[name]);
  }
  return participant as JsonValue;
}
