import { create, toJson } from "@bufbuild/protobuf";
import {
  ListPlatformKeysResponseSchema,
  type PlatformKey,
  RotatePlatformKeyResponseSchema,
} from "../../gen/dcm/v1/platform_service_pb.ts";
import { callbackAlgs, nameOf, platformKeyStates } from "../wire/enums.ts";
import { type Answer, type Call, NotDone } from "./action.ts";
import { allRowsOf } from "./pages.ts";
import { counted, table, when } from "./table.ts";
import { namedOf, secondsOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const algOf = (key: PlatformKey) => nameOf(callbackAlgs, key.alg) ?? "unknown";

export async function list(call: Call): Promise<Answer> {
  const keys = await allRowsOf(async (page) => {
    const { keys: rows, nextPageToken } = await call.clients.platform.listPlatformKeys(page);
    return { rows, nextPageToken };
  });
  const rows = keys.map((key) => [
    key.kid,
    algOf(key),
    nameOf(platformKeyStates, key.state) ?? "unknown",
    when(key.createdAt),
    when(key.activeFrom),
    when(key.retireAt),
    when(key.unpublishAt),
  ]);
  return {
    json: toJson(ListPlatformKeysResponseSchema, create(ListPlatformKeysResponseSchema, { keys }), json),
    lines: table(["KID", "ALG", "STATE", "MADE", "SIGNS FROM", "SIGNS UNTIL", "PUBLISHED UNTIL"], rows),
  };
}

export async function rotate(call: Call): Promise<Answer> {
  const atOnce = call.isOn("at-once");
  const [alg = callbackAlgs.RS256] = namedOf(call, "alg", callbackAlgs);
  const announceSeconds = secondsOf(call, "announce") ?? 0;
  const answer = await call.clients.platform.rotatePlatformKey({ alg, announceSeconds, atOnce });
  const { key, retired } = answer;
  if (key === undefined) throw new Error("the core answered without a key");
  const signs = atOnce ? "signs now" : `is announced and signs from ${when(key.activeFrom)}`;
  return {
    json: toJson(RotatePlatformKeyResponseSchema, answer, json),
    lines: [
      `The ${algOf(key)} key ${key.kid} ${signs}.`,
      ...retired.map((old) =>
        atOnce
          ? `The key ${old.kid} is not published any more.`
          : `The key ${old.kid} signs until then and is published until ${when(old.unpublishAt)}.`,
      ),
    ],
  };
}

export async function recover(call: Call): Promise<Answer> {
  if (call.recoverKeys === undefined) throw new NotDone("This works on the machine that has the database's address.");
  const { made, lost } = await call.recoverKeys();
  return {
    json: { made, lost },
    lines: [
      `${counted(lost.length, "signing key")} that cannot be opened sign nothing any more; those that have signed are published for another day.`,
      ...made.map(
        ({ kid, alg, masterKeyId }) => `The ${alg} key ${kid} signs now, under the master key ${masterKeyId}.`,
      ),
      "Start the gateway. Receivers that remember the keys may take JWKS_MAX_AGE_SECONDS to learn the new ones.",
    ],
  };
}
