import { ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "../../gen/dcm/v1/error_pb.ts";

/** What the caller hears of a call that fails: the code, the message and the detail. */
export async function errorOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  const [detail] = error?.findDetails(ErrorDetailSchema) ?? [];
  return {
    code: error?.code,
    reason: detail && reasonName(detail.reason),
    field: detail?.field,
    message: detail?.message,
    paymentMessageGuid: detail?.paymentMessageGuid,
    rawMessage: error?.rawMessage,
  };
}

const reasonName = (value: number) => Object.entries(ErrorReason).find(([, number]) => number === value)?.[0];
