import { create, toJson } from "@bufbuild/protobuf";
import { ListAuditEntriesResponseSchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { auditActs, nameOf } from "../wire/enums.ts";
import type { Answer, Call } from "./action.ts";
import { rowsOf } from "./pages.ts";
import { table, when } from "./table.ts";
import { instantOf, namedOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

function filterOf(call: Call) {
  const since = instantOf(call, "since");
  const until = instantOf(call, "until");
  return {
    actor: call.text("actor") ?? "",
    acts: namedOf(call, "act", auditActs),
    object: call.text("object") ?? "",
    ...(since && { since }),
    ...(until && { until }),
  };
}

/** Enough digits to compare by eye; `--json` has all of them. */
const beginOf = (digest: string) => digest.slice(0, 12);

export async function list(call: Call): Promise<Answer> {
  const filter = filterOf(call);
  const { rows: entries, more } = await rowsOf(call, async (page) => {
    const { entries: rows, nextPageToken } = await call.clients.audit.listAuditEntries({ ...filter, ...page });
    return { rows, nextPageToken };
  });
  const rows = entries.map((entry) => [
    String(entry.number),
    when(entry.at),
    entry.actor,
    nameOf(auditActs, entry.act) ?? "unknown",
    entry.object,
    beginOf(entry.digestBefore),
    beginOf(entry.digestAfter),
  ]);
  const heading = ["NUMBER", "AT", "ACTOR", "ACT", "OBJECT", "BEFORE", "AFTER"];
  return {
    json: toJson(ListAuditEntriesResponseSchema, create(ListAuditEntriesResponseSchema, { entries }), json),
    lines: entries.length === 0 ? ["No entry matches."] : [...table(heading, rows), ...more],
  };
}
