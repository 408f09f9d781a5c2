import { BankRole, type Participant, ParticipantKind, ParticipantStatus } from "../../gen/dcm/v1/participant_pb.ts";
import { isDeepLinkPrefix } from "../domain/participant.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import { rpcOptions } from "./rpcOptions.ts";

/** The banks that payers can pay with, by name. */
export type Initiators = () => Promise<readonly Participant[]>;

/** Short enough that a new bank is there at once for a person, long enough for thousands of requests. */
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
  // What a bank registered before the rule came must not run on our page or on a merchant's.
  return found.filter((bank) => isDeepLinkPrefix(bank.deepLinkPrefix) && bank.status === ParticipantStatus.ACTIVE);
}
