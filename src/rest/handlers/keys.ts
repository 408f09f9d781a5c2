import type { Handlers } from "../../../gen/rest/operations.ts";
import { asBank, type RequestContext } from "../context.ts";

export const keyHandlers: Pick<Handlers<RequestContext>, "addKey"> = {
  async addKey(_input, context) {
    const { participants } = context.deps.clients;
    const { kid } = await participants.addOwnKey({ body: context.body }, asBank(context));
    return { status: 201, type: "application/json", body: { kid } };
  },
};
