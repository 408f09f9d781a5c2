import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { JWK } from "jose";
import { makeIban } from "../src/sandbox/samples.ts";
import { generateKeyPair, type KeyPair } from "../src/sdk/keys.ts";

export type CastBank = {
  guid: string;
  bic: string;
  name: string;
  iban: string;
  taxCode: string;
  privateJwk: JWK;
  publicJwk: JWK;
  callbackUrl: string;
};
export type CastMerchant = Omit<CastBank, "bic"> & { uid: string; bankGuid: string; bic: string };

/** Everybody who takes part; crosses process boundaries as data. */
export type Cast = { initiators: CastBank[]; recipients: CastBank[]; merchants: CastMerchant[] };

export type CastSize = { initiators: number; recipients: number; merchants: number };

/**
 * A small market: several institutions on each side, because an endpoint has a bounded number of slots and a platform
 * with one bank would measure that bound instead of the platform.
 */
export const usualCast: CastSize = { initiators: 4, recipients: 4, merchants: 16 };

/** `origins` are where the participants listen: one for each, initiators first, then recipients, then merchants. */
export async function makeCast(size: CastSize, origins: readonly string[]): Promise<Cast> {
  const count = size.initiators + size.recipients + size.merchants;
  const keys = await Promise.all(Array.from({ length: count }, () => generateKeyPair()));
  const keyOf = (number: number) => keys[number] as KeyPair;
  let used = 0;
  const party = (name: string, bic: string, account: number) => {
    const number = used++;
    return {
      guid: randomUUID(),
      name: `${name} ${number + 1}`,
      bic,
      iban: makeIban(bic, account),
      taxCode: String(10_000_000 + number),
      privateJwk: keyOf(number).privateJwk,
      publicJwk: keyOf(number).publicJwk,
      callbackUrl: origins[number] ?? "",
    };
  };
  const banks = (count: number, name: string, firstBic: number) =>
    Array.from({ length: count }, (_, index) => party(name, String(firstBic + index), 1));
  const initiators = banks(size.initiators, "Initiator bank", 300_001);
  const recipients = banks(size.recipients, "Recipient bank", 350_001);
  const merchants = Array.from({ length: size.merchants }, (_, index) => {
    const bank = recipients[index % recipients.length] as CastBank;
    return { ...party("Merchant", bank.bic, 100 + index), uid: randomUUID(), bankGuid: bank.guid };
  });
  return { initiators, recipients, merchants };
}

/** The participants file that the gateway registers them from. */
export async function writeParticipants(cast: Cast, file: string, callbackAlg = "CALLBACK_ALG_RS256"): Promise<void> {
  const bank = (bank: CastBank, role: string, callbackUrls: object) => ({
    guid: bank.guid,
    name: bank.name,
    taxCode: bank.taxCode,
    bic: bank.bic,
    roles: [role],
    iban: bank.iban,
    callbackUrls,
    signingJwks: [bank.publicJwk],
    callbackAlg,
    email: "duty@bank.example",
  });
  const content = {
    banks: [
      ...cast.initiators.map((one) => bank(one, "BANK_ROLE_INITIATOR", { base: `${one.callbackUrl}/pay-out` })),
      ...cast.recipients.map((one) =>
        bank(one, "BANK_ROLE_RECIPIENT", {
          base: `${one.callbackUrl}/other`,
          payIn: `${one.callbackUrl}/pay-in-bank`,
          credit: `${one.callbackUrl}/credit`,
        }),
      ),
    ],
    merchants: cast.merchants.map((one) => ({
      guid: one.guid,
      uid: one.uid,
      name: one.name,
      taxCode: one.taxCode,
      iban: one.iban,
      mcc: "5732",
      servicingBankGuid: one.bankGuid,
      callbackUrls: { base: `${one.callbackUrl}/pay-in-merchant` },
      signingJwks: [one.publicJwk],
      callbackAlg,
      redirectUrl: "https://shop.example/thanks",
    })),
  };
  await writeFile(file, JSON.stringify(content));
}
