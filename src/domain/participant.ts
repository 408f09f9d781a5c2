import { type Refusal, refuse } from "./errors.ts";
import { ibanProblem, ibanSentence } from "./iban.ts";

export const participantKinds = ["bank", "merchant"] as const;
export type ParticipantKind = (typeof participantKinds)[number];

export const bankRoles = ["initiator", "recipient"] as const;
export type BankRole = (typeof bankRoles)[number];

export const callbackBodyFormats = ["json", "text"] as const;
export type CallbackBodyFormat = (typeof callbackBodyFormats)[number];

/** With which algorithms the platform signs what it sends; the first is what everybody gets who asks for nothing. */
export const callbackAlgs = ["RS256", "ES256", "EdDSA"] as const;
export type CallbackAlg = (typeof callbackAlgs)[number];

/** What a participant may do now. Whoever is suspended can be resumed; closed is for ever. */
export const participantStatuses = ["active", "suspended", "closed"] as const;
export type ParticipantStatus = (typeof participantStatuses)[number];

/** Where callbacks go; a kind without a URL of its own goes to `base`, except gross_settlement, which is optional. */
export const callbackUrlNames = ["base", "pay_in", "pay_out", "credit", "expiration", "gross_settlement"] as const;
export type CallbackUrlName = (typeof callbackUrlNames)[number];
export type CallbackUrls = Partial<Record<CallbackUrlName, string>>;

/** A public JSON Web Key as registered: only public members are ever stored. */
export type PublicJwk = { kty: string; kid: string; alg: string; use?: string; [member: string]: unknown };

/** A registered bank or merchant (wire-contract section 8). */
export type Participant = {
  guid: string;
  kind: ParticipantKind;
  name: string;
  taxCode: string;
  /** Six digits; banks only. */
  bic: string | null;
  /** The opaque `sub` of its orders; merchants only. */
  uid: string | null;
  roles: BankRole[];
  /** Charging IBAN of a bank, credited account of a merchant. */
  iban: string;
  mcc: string | null;
  servicingBankGuid: string | null;
  callbackUrls: CallbackUrls;
  callbackBodyFormat: CallbackBodyFormat;
  signingJwks: PublicJwk[];
  /** The key personal data is encrypted for; null: the first signing key (wire-contract section 8). */
  encryptionJwk: PublicJwk | null;
  /** Keys that were replaced: messages encrypted for them may still be on their way. */
  pastJwks: PublicJwk[];
  jwksUrl: string | null;
  email: string;
  deepLinkPrefix: string | null;
  logoUrl: string | null;
  redirectUrl: string | null;
  feeBasisPoints: number;
  version: number;
  createdAt: Date;
  updatedAt: Date;
  /** Whether a bank's requests that change something must bind their body; banks only. */
  requiresBodySha256: boolean;
  /** What the platform signs to it with. */
  callbackAlg: CallbackAlg;
  status: ParticipantStatus;
};

/** A participant as somebody states it; the database says when it was registered and changed. */
export type StatedParticipant = Omit<Participant, "createdAt" | "updatedAt">;

/** The key that initiator banks encrypt personal data for (wire-contract section 4, `public_key`). */
export function encryptionKeyOf(bank: Pick<Participant, "encryptionJwk" | "signingJwks">): PublicJwk | undefined {
  return bank.encryptionJwk ?? bank.signingJwks[0];
}

/** An opaque name of a merchant: 1 to 64 characters, none of them a control character or half of one. */
export function isUid(value: unknown): value is string {
  return typeof value === "string" && /^[^\p{Cc}\p{Cs}]{1,64}$/u.test(value);
}

const limits: ReadonlyArray<[keyof StatedParticipant, number]> = [
  ["name", 140],
  ["taxCode", 20],
  ["email", 254],
  ["deepLinkPrefix", 500],
  ["logoUrl", 500],
  ["redirectUrl", 2000],
  ["jwksUrl", 2000],
];

const documentedName: Partial<Record<keyof Participant, string>> = {
  taxCode: "tax_code",
  deepLinkPrefix: "deep_link_prefix",
  logoUrl: "logo_url",
  redirectUrl: "redirect_url",
  jwksUrl: "jwks_url",
};

/**
 * What is wrong with a participant's own fields, or undefined. Keys and callback addresses need
 * cryptography and name resolution; they are checked where those are at hand.
 */
export function participantProblem(participant: StatedParticipant): Refusal | undefined {
  return statedProblem(participant) ?? keysProblem(participant);
}

/** The same without its keys: what can be told before a key set was read that the participant publishes. */
export function statedProblem(participant: StatedParticipant): Refusal | undefined {
  if (participant.name === "") return refuse("INVALID_REQUEST", "name is missing", { field: "name" });
  for (const [field, limit] of limits) {
    const value = participant[field];
    if (typeof value === "string" && value.length > limit) {
      const name = documentedName[field] ?? field;
      return refuse("INVALID_REQUEST", `${name} has more than ${limit} characters`, { field: name });
    }
  }
  if (participant.uid !== null && !isUid(participant.uid)) {
    return refuse("INVALID_REQUEST", "uid must have 1 to 64 characters, none of them a control character", {
      field: "uid",
    });
  }
  const iban = ibanProblem(participant.iban);
  if (iban !== undefined) return refuse("INVALID_REQUEST", `iban ${ibanSentence[iban]}`, { field: "iban" });
  if (participant.feeBasisPoints < 0 || participant.feeBasisPoints > 10_000) {
    return refuse("INVALID_REQUEST", "fee_basis_points is not between 0 and 10000", { field: "fee_basis_points" });
  }
  return (
    (participant.kind === "bank" ? bankProblem(participant) : merchantProblem(participant)) ??
    callbackUrlsProblem(participant)
  );
}

/** What is wrong with how many keys there are and what they are for, or undefined. */
export function keysProblem(participant: StatedParticipant): Refusal | undefined {
  const { kind, roles, signingJwks, encryptionJwk } = participant;
  if (signingJwks.length > 2) {
    return refuse("INVALID_KEY", "signing_jwks has more than two keys", { field: "signing_jwks" });
  }
  if (signingJwks.length === 0) {
    return refuse("INVALID_KEY", "signing_jwks has no key and jwks_url gave none", { field: "signing_jwks" });
  }
  if (signingJwks.some((key) => key.use === "enc")) {
    return refuse("INVALID_KEY", "signing_jwks has a key for encryption", { field: "signing_jwks" });
  }
  // Personal data is encrypted by RSA-OAEP: without an RSA key nobody could send this bank a payment message.
  const needsEncryptionKey = kind === "bank" && (encryptionJwk !== null || roles.includes("recipient"));
  if (needsEncryptionKey && encryptionKeyOf(participant)?.kty !== "RSA") {
    const message = "encryption_jwk is not an RSA key, or is missing while the first key of signing_jwks is none";
    return refuse("INVALID_KEY", message, { field: "encryption_jwk" });
  }
  return undefined;
}

function bankProblem(bank: StatedParticipant): Refusal | undefined {
  if (!/^\d{6}$/.test(bank.bic ?? "")) return refuse("INVALID_REQUEST", "bic is not six digits", { field: "bic" });
  if (bank.roles.length === 0) return refuse("INVALID_REQUEST", "roles names no role", { field: "roles" });
  if (bank.uid !== null) return refuse("INVALID_REQUEST", "uid is for merchants only", { field: "uid" });
  return undefined;
}

function merchantProblem(merchant: StatedParticipant): Refusal | undefined {
  if (merchant.bic !== null) return refuse("INVALID_REQUEST", "bic is for banks only", { field: "bic" });
  if (merchant.requiresBodySha256) {
    const field = "requires_body_sha256";
    return refuse("INVALID_REQUEST", `${field} is for banks only`, { field });
  }
  if (!/^\d{4}$/.test(merchant.mcc ?? "")) return refuse("INVALID_REQUEST", "mcc is not four digits", { field: "mcc" });
  if (merchant.servicingBankGuid === null) {
    return refuse("INVALID_REQUEST", "servicing_bank_guid is missing", { field: "servicing_bank_guid" });
  }
  return undefined;
}

/** What each role is told, so where it must be reachable; `base` stands in for every one of them. */
const neededUrls = {
  initiator: ["pay_out"],
  recipient: ["pay_in", "credit"],
  merchant: ["pay_in", "expiration"],
} as const satisfies Record<BankRole | "merchant", readonly CallbackUrlName[]>;

/** A callback without a URL could never be delivered, and whoever waits for its payment would wait for ever. */
function callbackUrlsProblem({ kind, roles, callbackUrls }: StatedParticipant): Refusal | undefined {
  if (callbackUrls.base !== undefined) return undefined;
  for (const role of kind === "merchant" ? (["merchant"] as const) : roles) {
    const missing = neededUrls[role].find((name) => callbackUrls[name] === undefined);
    if (missing === undefined) continue;
    const field = `callback_urls.${missing}`;
    const whose = role === "merchant" ? "a merchant" : `a bank with the role ${role}`;
    return refuse("INVALID_CALLBACK_URL", `${field} is missing: ${whose} needs it, or callback_urls.base`, { field });
  }
  return undefined;
}
