import { sql } from "kysely";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import { rowsOf } from "../db/query.ts";
import { type PaymentMessageStatus, paymentMessageStatuses } from "../domain/paymentMessage.ts";
import type { CoreContext } from "./context.ts";
import { type ListedTable, newestFirst, type Page } from "./newestFirst.ts";
import { messageColumns, type PaymentMessageRow, toPaymentMessage } from "./paymentMessages.ts";

/** Members that are absent, and an empty list, do not restrict. */
export type PaymentMessageFilter = {
  party?: { merchantGuid: string } | { debtorAgentGuid: string } | { creditorAgentGuid: string } | undefined;
  statuses: readonly PaymentMessageStatus[];
  since?: Date | undefined;
  until?: Date | undefined;
  /** Unique for one debtor agent only, so it needs the debtor agent beside it. */
  externalId?: string | undefined;
};

const messages: ListedTable<PaymentMessageStatus> = {
  name: "payment_message",
  madeAt: "received_at",
  statuses: paymentMessageStatuses,
};

function columnOf(party: NonNullable<PaymentMessageFilter["party"]>): readonly [column: string, guid: string] {
  if ("merchantGuid" in party) return ["merchant_guid", party.merchantGuid];
  return "debtorAgentGuid" in party
    ? ["debtor_agent_guid", party.debtorAgentGuid]
    : ["creditor_agent_guid", party.creditorAgentGuid];
}

/** Lists payment messages, newest first. */
export async function listPaymentMessages(
  context: CoreContext,
  filter: PaymentMessageFilter,
  asked: Page,
): Promise<PaymentMessage[]> {
  const { party, externalId, ...others } = filter;
  const page = newestFirst(
    messages,
    {
      ...others,
      party: party && columnOf(party),
      ...(externalId !== undefined && { exactly: [["external_id", externalId, "text"] as const] }),
    },
    asked,
  );
  // The same as `messageJoins`, but forced to the page's rows: with bad statistics the planner would join the whole tables.
  const found = sql<PaymentMessageRow>`
    with page as materialized (${page})
    select ${sql.raw(messageColumns)} from page
    cross join lateral (select * from payment_message where guid = page.guid offset 0) m
    cross join lateral (select ultimate_creditor from payment_order where guid = m.order_guid offset 0) o
    join participant merchant on merchant.guid = m.merchant_guid
    join participant debtor_agent on debtor_agent.guid = m.debtor_agent_guid
    join participant creditor_agent on creditor_agent.guid = m.creditor_agent_guid
    order by m.guid desc`;
  return (await rowsOf(context.db.sql, found)).map(toListed);
}

/** A message as an item of a list, without the ciphertexts for the recipient bank, which are most of its bytes. */
function toListed(row: PaymentMessageRow): PaymentMessage {
  const hidden = {
    debtorName: "",
    debtorTaxNumber: "",
    creditorName: "",
    creditorTaxNumber: "",
    creditorAgentJwk: null,
  };
  const message = toPaymentMessage({ ...row, ...hidden });
  delete message.encryption;
  return message;
}
