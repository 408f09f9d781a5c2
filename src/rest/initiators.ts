import { BankRole, type Participant, ParticipantKind, ParticipantStatus } from "../../gen/dcm/v1/participant_pb.ts";
import { isDeepLinkPrefix } from "../domain/participant.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import { rpcOptions } from "./rpcOptions.ts";

/** The banks that payers can pay with, ordered by name. */
export type Initiators = () => Promise<readonly Participant[]>;

/** TTL of the cache: a person sees a new bank at once, and thousands of requests share one look-up. */
const lookUpMs = 2_000;
const pageSize = 500;
const maxPages = 20;

export function createInitiators({ participants }: Pick<CoreClients, "participants">): Initiators {
  let known: { banks: Promise<readonly Participant[]>; at: number } | undefined;
  return () => {
    if (known !== undefined && performance.now() - known.at < lookUpMs) return known.banks;
    const asked = { banks: listInitiators(participants), at: performance.now() };
    known = asked;
    asked.banks.catch(() => {
      if (known === asked) known = undefined;
    });
    return asked.banks;
  };
}

async function listInitiators(participants: CoreClients["participants"]): Promise<readonly Participant[]> {
  const found: Participant[] = [];
  let pageToken = "";
  for (let page = 0; page < maxPages; page++) {
    const request = { kind: ParticipantKind.BANK, role: BankRole.INITIATOR, pageSize, pageToken };
    const answer = await participants.listParticipants(request, rpcOptions);
    found.push(...answer.participants);
    pageToken = answer.nextPageToken;
    if (pageToken === "") break;
  }
  // A prefix that was registered before this rule existed must not run as script on our page or a merchant's.
  return found.filter((bank) => isDeepLinkPrefix(bank.deepLinkPrefix) && bank.status === ParticipantStatus.ACTIVE);
}
