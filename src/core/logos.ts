import { createHash } from "node:crypto";
import type { Row } from "../db/entities/entities.ts";
import type { Sql } from "../db/pool.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { readingLeaseMs, waitAfterFailures } from "./published.ts";

// The logos of participants, copied from the addresses that they registered, cleaned and kept here: a payer's browser asks nobody
// else for them, so that no bank and no stranger learns who is about to pay.

const follow = {
  name: "follow_logo",
  text: `
    insert into participant_logo as known (participant_guid, url, next_at, failures) values ($1, $2, now(), 0)
    on conflict (participant_guid) do update
    set url = excluded.url, next_at = now(), failures = 0, problem = null, sha256 = null, image = null
    where known.url <> excluded.url`,
};

const forget = { name: "forget_logo", text: "delete from participant_logo where participant_guid = $1" };

/** Has the participant's logo copied soon, or forgets it where there is none any more. The same address is not copied again. */
export async function followLogo(sql: Sql, { guid, logoUrl }: Pick<Participant, "guid" | "logoUrl">): Promise<void> {
  if (logoUrl === null) await sql(forget, [guid]);
  else await sql(follow, [guid, logoUrl]);
}

const leaseDueLogos = {
  name: "take_logos",
  text: `
    update participant_logo l set next_at = now() + $2 * interval '1 millisecond'
    from (
      select participant_guid from participant_logo where next_at <= now() order by next_at limit $1
      for update skip locked
    ) due where l.participant_guid = due.participant_guid
    returning l.participant_guid as guid, l.url, l.failures`,
};

type DueLogo = Pick<Row<"participant_logo">, "url" | "failures"> & { guid: string };

const keepLogo = {
  name: "keep_logo",
  text: `
    update participant_logo set failures = 0, problem = null, next_at = null, sha256 = $3, image = $4
    where participant_guid = $1 and url = $2`,
};

const postponeLogo = {
  name: "postpone_logo",
  text: `
    update participant_logo set failures = $3, problem = $4, next_at = now() + $5 * interval '1 millisecond'
    where participant_guid = $1 and url = $2 and sha256 is null`,
};

/** The result of a copying, for the log. */
export type CopiedLogo = { guid: string; problem?: string };

/** Copies the logos that are due, at most `limit`, all at once; a lease lets one process alone copy each. */
export async function copyLogos(context: CoreContext, limit: number): Promise<CopiedLogo[]> {
  const due = await context.db.sql<DueLogo>(leaseDueLogos, [limit, readingLeaseMs]);
  return Promise.all(due.map((logo) => copyLogo(context, logo)));
}

async function copyLogo(context: CoreContext, { guid, url, failures: before }: DueLogo): Promise<CopiedLogo> {
  const image = await context.fetchLogo(url);
  if ("problem" in image) {
    const failures = before + 1;
    await context.db.sql(postponeLogo, [guid, url, failures, image.problem, waitAfterFailures(failures)]);
    return { guid, problem: image.problem };
  }
  const sha256 = createHash("sha256").update(image.png).digest("hex");
  await context.db.sql(keepLogo, [guid, url, sha256, image.png]);
  return { guid };
}

const selectLogo = {
  name: "select_logo",
  text: "select image from participant_logo where sha256 = $1 limit 1",
};

/** A copied logo (PNG) by its SHA-256 in hexadecimal digits. */
export async function getLogo({ db }: CoreContext, sha256: string): Promise<Uint8Array | Refusal> {
  const [found] = await db.sql<{ image: Uint8Array }>(selectLogo, [sha256]);
  return found?.image ?? refuse("LOGO_NOT_FOUND", "there is no such logo", { field: "sha256" });
}
