import { create, toJson } from "@bufbuild/protobuf";
import { ListAuditEntriesResponseSchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { auditActs, nameOf } from "../wire/enums.ts";
import type { Action, Answer, Call } from "./action.ts";
import { limitOption, rowsOf } from "./pages.ts";
import { table, when } from "./table.ts";
import { instantOf, namedOf, TIME_HELP } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const defaultLimit = 50;

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

/** Enough to see whether two are the same; `--json` has all digits. */
const beginOf = (digest: string) => digest.slice(0, 12);

async function list(call: Call): Promise<Answer> {
  const filter = filterOf(call);
  const { rows: entries, more } = await rowsOf(call, defaultLimit, async (page) => {
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

export const auditAction = {
  positionals: [],
  options: {
    actor: { type: "string", value: "NAME", help: "Only of this credential, this bank (its guid), or `platform`." },
    act: { type: "string", multiple: true, value: "ACT", help: `One of ${Object.keys(auditActs).join(", ")}.` },
    object: {
      type: "string",
      value: "ID",
      help: "Only about this participant or callback (guid), credential (name), register (id) or day (2026-01-31).",
    },
    since: { type: "string", value: "TIME", help: `Only since then: ${TIME_HELP}.` },
    until: { type: "string", value: "TIME", help: "Only before then." },
    limit: limitOption(defaultLimit),
  },
  help:
    "List who changed what, newest first, with the beginning of the digests of the row before and after; --json has the whole " +
    "digests.",
  run: list,
} as const satisfies Action;
