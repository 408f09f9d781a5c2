import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { BankRole, type ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import type { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { SandboxBank, SandboxMerchant } from "./participants.ts";

type Details = Partial<MessageInitShape<typeof ParticipantSchema>>;
export type Onboarding = { participants: Client<typeof ParticipantService>; restUrl: string };

const ROLES = { initiator: BankRole.INITIATOR, recipient: BankRole.RECIPIENT };

/** Registers a bank as an operator would, and tells it the platform's address. `details` override what the bank states. */
export async function registerBank(platform: Onboarding, bank: SandboxBank, details: Details = {}) {
  await platform.participants.registerBank({
    bank: {
      guid: bank.guid,
      name: bank.name,
      taxCode: bank.taxCode,
      bic: bank.bic,
      roles: bank.roles.map((role) => ROLES[role]),
      iban: bank.iban,
      callbackUrls: urlsOf(bank),
      signingJwks: [JSON.stringify(bank.key.publicJwk)],
      email: "duty@bank.example",
      deepLinkPrefix: bank.deepLinkPrefix,
      ...details,
    } as MessageInitShape<typeof ParticipantSchema>,
  });
  bank.joins({ url: platform.restUrl });
}

/** Registers a merchant under its bank, which must have been registered before. */
export async function registerMerchant(platform: Onboarding, merchant: SandboxMerchant, details: Details = {}) {
  await platform.participants.registerMerchant({
    merchant: {
      name: merchant.name,
      uid: merchant.uid,
      taxCode: merchant.taxCode,
      iban: merchant.iban,
      mcc: merchant.mcc,
      servicingBankGuid: merchant.bankGuid,
      callbackUrls: urlsOf(merchant),
      signingJwks: [JSON.stringify(merchant.key.publicJwk)],
      redirectUrl: "https://shop.example/thanks",
      ...details,
    } as MessageInitShape<typeof ParticipantSchema>,
  });
  merchant.joins({ url: platform.restUrl });
}

function urlsOf({ callbackUrls: urls }: SandboxBank | SandboxMerchant) {
  return {
    base: urls.base ?? "",
    payIn: urls.pay_in ?? "",
    payOut: urls.pay_out ?? "",
    credit: urls.credit ?? "",
    expiration: urls.expiration ?? "",
    grossSettlement: urls.gross_settlement ?? "",
  };
}
