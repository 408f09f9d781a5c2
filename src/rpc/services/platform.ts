import {
  ListPlatformKeysRequestSchema,
  type PlatformService,
  type RotatePlatformKeyRequest,
} from "../../../gen/dcm/v1/platform_service_pb.ts";
import type { Core } from "../../core/core.ts";
import type { RotationWish } from "../../domain/platformKey.ts";
import { callbackAlgs } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { actorOf } from "../caller.ts";
import { unlessRefused } from "../errors.ts";
import { optionalNamed } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const platformHandlers = (core: Core): WholeAnswers<typeof PlatformService> => ({
  listSigningKeys() {
    const { jwks, maxAgeSeconds } = core.listSigningKeys();
    return { jwks: jwks.map((jwk) => JSON.stringify(jwk)), maxAgeSeconds };
  },
  async listPlatformKeys(request) {
    const asked = askedPage({ schema: ListPlatformKeysRequestSchema, isKey: keys.text, whenZero: 100 }, request);
    const found = await core.listPlatformKeys({ limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ kid }) => [kid]);
    return { keys: page, nextPageToken };
  },
  async rotatePlatformKey(request, context) {
    return unlessRefused(await core.rotatePlatformKey(actorOf(context), rotationWish(request)));
  },
});

function rotationWish({ alg, announceSeconds, atOnce }: RotatePlatformKeyRequest): RotationWish {
  return { alg: optionalNamed(callbackAlgs, alg) ?? "RS256", announceSeconds, atOnce };
}
