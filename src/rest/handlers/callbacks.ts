import { limits } from "../../../gen/rest/limits.ts";
import type { Handlers, OperationInput, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { missedCallbackAnswer, missedStates } from "../../wire/missedCallback.ts";
import { asParty, type RequestContext } from "../context.ts";
import { timestampOfQuery } from "../queryTime.ts";

type CallbackHandlers = Pick<Handlers<RequestContext>, "listMissedCallbacks" | "listMerchantMissedCallbacks">;

export const callbackHandlers: CallbackHandlers = {
  async listMissedCallbacks({ query }, context) {
    return { status: 200, type: "application/json", body: await missedCallbacks(query, context) };
  },
  async listMerchantMissedCallbacks({ query }, context) {
    return { status: 200, type: "application/json", body: await missedCallbacks(query, context) };
  },
};

/** The missed callbacks of the caller, whom the core knows by its token. */
async function missedCallbacks(
  { since, limit, cursor }: OperationInput<keyof CallbackHandlers>["query"],
  context: RequestContext,
): Promise<Whole<components["schemas"]["MissedCallbackList"]>> {
  const { callbacks, nextPageToken } = await context.deps.clients.callbacks.listCallbacks(
    {
      filter: {
        since: timestampOfQuery(since, "since"),
        states: [...missedStates],
        missed: true,
      },
      pageSize: limit ?? limits.callbacksPageDefault,
      pageToken: cursor ?? "",
    },
    asParty(context),
  );
  return { items: callbacks.map(missedCallbackAnswer), next_cursor: nextPageToken || null };
}
