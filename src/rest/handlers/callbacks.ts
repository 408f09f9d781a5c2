import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { asBank, type RequestContext } from "../context.ts";
import { missedCallbackAnswer, missedStates } from "../translate/callback.ts";
import { timestampOfQuery } from "../translate/time.ts";

export const callbackHandlers: Pick<Handlers<RequestContext>, "listMissedCallbacks"> = {
  async listMissedCallbacks({ query }, context) {
    const { callbacks, nextPageToken } = await context.deps.clients.callbacks.listCallbacks(
      {
        filter: {
          since: timestampOfQuery(query.since, "since"),
          states: [...missedStates],
          missed: true,
        },
        pageSize: query.limit ?? 50,
        pageToken: query.cursor ?? "",
      },
      asBank(context),
    );
    const body: Whole<components["schemas"]["MissedCallbackList"]> = {
      items: callbacks.map(missedCallbackAnswer),
      next_cursor: nextPageToken || null,
    };
    return { status: 200, type: "application/json", body };
  },
};
