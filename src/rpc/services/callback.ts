import {
  type CallbackService,
  ListCallbacksRequestSchema,
  type CallbackFilter as PbCallbackFilter,
} from "../../../gen/dcm/v1/callback_service_pb.ts";
import type { Core } from "../../core/core.ts";
import type { CallbackFilter } from "../../core/review.ts";
import type { Participant } from "../../domain/participant.ts";
import { callbackKinds, callbackStates } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { actorOf, ofReader, readingParty } from "../caller.ts";
import { unlessRefused } from "../errors.ts";
import { named, optionalInstant } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const callbackHandlers = (core: Core): WholeAnswers<typeof CallbackService> => ({
  async listCallbacks(request, context) {
    const reader = readingParty(context);
    const filter = callbackFilter(request.filter, reader);
    const asked = askedPage({ schema: ListCallbacksRequestSchema, isKey: keys.guid, whenZero: 50 }, request, reader);
    const found = await core.listCallbacks(filter, { limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ guid }) => [guid]);
    return { callbacks: page, nextPageToken };
  },
  async getCallback(request) {
    return unlessRefused(await core.getCallback(request.guid));
  },
  async replayCallback(request, context) {
    return { callback: unlessRefused(await core.replayCallback(actorOf(context), request.guid)) };
  },
  async replayCallbacks(request, context) {
    return { replayed: await core.replayCallbacks(actorOf(context), callbackFilter(request.filter)) };
  },
  async redriveDeadLetters({ limit }, context) {
    const atMost = limit === 0 ? 1_000 : Math.min(limit, 10_000);
    return { redriven: await core.redriveDeadLetters(actorOf(context), atMost) };
  },
  async resolveCallback({ guid, note }, context) {
    return { callback: unlessRefused(await core.resolveCallback(actorOf(context), guid, note)) };
  },
});

/** `reader`: the bank or merchant that asks, which sees only its own callbacks; undefined for a service. */
function callbackFilter(filter: PbCallbackFilter | undefined, reader?: Participant): CallbackFilter {
  const receiverGuid = ofReader(filter?.receiverGuid ?? "", reader, "filter.receiver_guid");
  if (filter === undefined) return { receiverGuid };
  return {
    states: filter.states.map((state) => named(callbackStates, state)),
    kinds: filter.kinds.map((kind) => named(callbackKinds, kind)),
    receiverGuid,
    paymentMessageGuid: filter.paymentMessageGuid || undefined,
    since: optionalInstant(filter.since),
    until: optionalInstant(filter.until),
    missed: filter.missed,
  };
}
