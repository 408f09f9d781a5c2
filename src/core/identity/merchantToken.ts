import type { MerchantActor } from "../../domain/actor.ts";
import { isRefusal, type Refusal } from "../../domain/errors.ts";
import { acceptedAccess, type Judgement, type PresentedToken } from "./accessToken.ts";
import { signedByNamed, type Verification } from "./signed.ts";

/**
 * Verifies a merchant's Cx-Authorization (wire contract, section 3): it must be signed with a key of the merchant whose uid is its
 * claim `iss`. A caller without such a key, a bank included, only learns that the token is refused.
 */
export async function merchantOfToken(
  presented: Omit<PresentedToken, "counterpartyGuid">,
  verification: Verification,
  judgement: Judgement,
): Promise<MerchantActor | Refusal> {
  const signed = await signedByNamed("iss", presented.token, verification);
  if (isRefusal(signed)) return signed;
  const { party, parsed } = signed;
  const accepted = acceptedAccess({ presented, parsed, judgement }, party, signed);
  return isRefusal(accepted) ? accepted : { kind: "merchant", merchant: party.participant };
}
