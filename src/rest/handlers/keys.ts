import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { asParty, type RequestContext } from "../context.ts";

export const keyHandlers: Pick<Handlers<RequestContext>, "addKey"> = {
  async addKey(_input, context) {
    const { participants } = context.deps.clients;
    const { kid } = await participants.addOwnKey({ body: context.body }, asParty(context));
    const body: Whole<components["schemas"]["KeyAdded"]> = { kid };
    return { status: 201, type: "application/json", body };
  },
};
