import {
  type AuditService,
  type ListAuditEntriesRequest,
  ListAuditEntriesRequestSchema,
} from "../../../gen/dcm/v1/audit_service_pb.ts";
import type { AuditFilter } from "../../core/audit.ts";
import type { Core } from "../../core/core.ts";
import { isGuid } from "../../core/guid.ts";
import { auditActs } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { named, optionalInstant } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const auditHandlers = (core: Core): WholeAnswers<typeof AuditService> => ({
  async listAuditEntries(request) {
    const asked = askedPage({ schema: ListAuditEntriesRequestSchema, isKey: keys.number, whenZero: 50 }, request);
    const before = asked.after && Number(asked.after[0]);
    const found = await core.listAuditEntries(auditFilter(request), { limit: asked.limit + 1, before });
    const { page, nextPageToken } = cutPage(found, asked, ({ number }) => [String(number)]);
    return { entries: page, nextPageToken };
  },
});

function auditFilter(request: ListAuditEntriesRequest): AuditFilter {
  return {
    // Actors are named by guids and credential names, which are all in lower case.
    actor: request.actor.toLowerCase(),
    acts: request.acts.map((act) => named(auditActs, act)),
    // Guids are compared in lower case; kids may have capitals.
    object: isGuid(request.object) ? request.object.toLowerCase() : request.object,
    since: optionalInstant(request.since),
    until: optionalInstant(request.until),
  };
}
