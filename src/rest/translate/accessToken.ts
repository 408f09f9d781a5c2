import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AccessTokenSchema } from "../../../gen/dcm/v1/access_pb.ts";
import type { Access } from "../context.ts";

/** The caller's access token for a request of the core that changes something. */
export function accessToken({ jti, issuedAt, requestDigest }: Access): MessageInitShape<typeof AccessTokenSchema> {
  return { jti, issuedAt: timestampFromDate(issuedAt), requestDigest };
}
