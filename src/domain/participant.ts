import { limits } from "../../gen/rest/limits.ts";
import { type Refusal, refuse } from "./errors.ts";
import { ibanProblem, ibanSentence } from "./iban.ts";
import { isWebUrl, textRefusal } from "./text.ts";

export const participantKinds = ["bank", "merchant"] as const;
export type ParticipantKind = (typeof participantKinds)[number];

export const bankRoles = ["initiator", "recipient"] as const;
export type BankRole = (typeof bankRoles)[number];

export const callbackBodyFormats = ["json", "text"] as const;
export type CallbackBodyFormat = (typeof callbackBodyFormats)[number];

/** The algorithms that the platform can sign callbacks with; a participant that names none gets the first. */
export const callbackAlgs = ["RS256", "ES256", "EdDSA"] as const;
export type CallbackAlg = (typeof callbackAlgs)[number];

/** What follows a bank's deep-link prefix in its links; a new bank that names neither gets the first. */
export const deepLinkContents = ["signed_order", "order_id"] as const;
export type DeepLinkContent = (typeof deepLinkContents)[number];

/** A suspended participant can be resumed; a closed one is closed for ever. */
export const participantStatuses = ["active", "suspended", "closed"] as const;
export type ParticipantStatus = (typeof participantStatuses)[number];

/** Where callbacks go; a kind without a URL of its own goes to `base`, except gross_settlement, which is optional. */
export const callbackUrlNames = ["base", "pay_in", "pay_out", "credit", "expiration", "gross_settlement"] as const;
export type CallbackUrlName = (typeof callbackUrlNames)[number];
export type CallbackUrls = Partial<Record<CallbackUrlName, string>>;

/** A public JSON Web Key as registered: only public members are ever stored. */
export type PublicJwk = { kty: string; kid: string; alg: string; use?: string; [member: string]: unknown };

/** What a key of a participant is for: to verify what it signs, or to encrypt personal data for it. */
export const keyUses = ["sig", "enc"] as const;
export type KeyUse = (typeof keyUses)[number];

/** The most keys of one use that may be valid at the same time: the current one, its successor, and two added by mistake. */
const maxKeysAtOnce = limits.keysAtOnce;

/** The most valid keys that may share a kid: the old and the new key of a rotation that keeps the kid. */
export const maxKeysOfOneKid = 2;

/** A key of a participant; it is valid from when it was added until it is retired. */
export type ParticipantKey = {
  id: number;
  use: KeyUse;
  kid: string;
  jwk: PublicJwk;
  activeFrom: Date;
  /** When it retires; null: no retirement is planned. */
  retireAt: Date | null;
  /** When something that it signs was accepted last, to the minute; null: never. */
  seenAt: Date | null;
  /** The actor, named as in the audit trail. */
  addedBy: string;
  /** The kid of the key that signed the request, where the participant added this key itself. */
  addedWith: string | null;
};

/** Whether a key is valid at this instant: accepted for signatures, or used to encrypt. It is valid as soon as it was added. */
export function isGood({ retireAt }: Pick<ParticipantKey, "retireAt">, now: Date): boolean {
  return retireAt === null || retireAt > now;
}

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
  /** The keys that are not retired, newest first; keys added together keep the order in which they were given. */
  keys: ParticipantKey[];
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
  /** The algorithm that the platform signs with when it calls this participant. */
  callbackAlg: CallbackAlg;
  status: ParticipantStatus;
  /** What its deep links contain; of no meaning unless `hasDeepLinks`. */
  deepLinkContent: DeepLinkContent;
  /** The state of the copy of its logo; null where it has none to copy. */
  logo: LogoCopy | null;
};

/** The copy of a participant's logo: its digest, or while there is none, why it could not be made when that was tried last. */
export type LogoCopy = { sha256: string | null; problem: string | null };

/** The keys as a registration or a change states them. */
export type StatedKeys = {
  signingJwks: PublicJwk[];
  /** The key personal data is encrypted for; null: a signing key (wire-contract section 8). */
  encryptionJwk: PublicJwk | null;
};

/** A participant as a registration or a change states it; the database adds its two instants. */
export type StatedParticipant = Omit<Participant, "createdAt" | "updatedAt" | "keys" | "logo">;

/** The JWKs of a participant's keys of one use, the newest first. */
export function jwksOf({ keys }: Pick<Participant, "keys">, use: KeyUse): PublicJwk[] {
  return keys.filter((key) => key.use === use).map(({ jwk }) => jwk);
}

/** The participant's keys in the form in which a registration states them. */
export function statedKeysOf(participant: Pick<Participant, "keys">): StatedKeys {
  return { signingJwks: jwksOf(participant, "sig"), encryptionJwk: jwksOf(participant, "enc")[0] ?? null };
}

const uidPattern = new RegExp(`^[^\\p{Cc}\\p{Cs}]{1,${limits.uidChars}}$`, "u");

/** The opaque name of a merchant (`uid`): none of its characters is a control character or half of a surrogate pair. */
export function isUid(value: unknown): value is string {
  return typeof value === "string" && uidPattern.test(value);
}

const textLimits: ReadonlyArray<[keyof StatedParticipant, number]> = [
  ["name", limits.nameChars],
  ["taxCode", limits.taxCodeChars],
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
 * What is wrong with a participant's own fields, or undefined. `before`: the participant as it stands; texts that it keeps are not
 * judged anew, because rules may have been added since. Keys and callback addresses are checked in the core, because that takes
 * cryptography and name resolution.
 */
export function statedProblem(participant: StatedParticipant, before?: StatedParticipant): Refusal | undefined {
  if (participant.name === "") return refuse("INVALID_REQUEST", "name is missing", { field: "name" });
  for (const [field, limit] of textLimits) {
    const value = participant[field];
    if (typeof value !== "string" || value === "" || value === before?.[field]) continue;
    const problem = textRefusal("INVALID_REQUEST", documentedName[field] ?? field, value, limit);
    if (problem !== undefined) return problem;
  }
  if (participant.uid !== null && !isUid(participant.uid)) {
    const message = `uid must have 1 to ${limits.uidChars} characters, none of them a control character`;
    return refuse("INVALID_REQUEST", message, { field: "uid" });
  }
  const iban = ibanProblem(participant.iban);
  if (iban !== undefined) return refuse("INVALID_REQUEST", `iban ${ibanSentence[iban]}`, { field: "iban" });
  if (participant.feeBasisPoints < 0 || participant.feeBasisPoints > 10_000) {
    return refuse("INVALID_REQUEST", "fee_basis_points is not between 0 and 10000", { field: "fee_basis_points" });
  }
  return (
    linkProblem(participant, before) ??
    (participant.kind === "bank" ? bankProblem(participant) : merchantProblem(participant)) ??
    callbackUrlsProblem(participant)
  );
}

/** What is wrong with how many keys there are and what they are for, or undefined. */
export function keysProblem(
  { kind, roles }: Pick<Participant, "kind" | "roles">,
  { signingJwks, encryptionJwk }: StatedKeys,
): Refusal | undefined {
  const problem = (text: string) => refuse("INVALID_KEY", `signing_jwks ${text}`, { field: "signing_jwks" });
  if (signingJwks.length === 0) return problem("has no key and jwks_url gave none");
  if (signingJwks.some((key) => key.use === "enc")) return problem("has a key for encryption");
  const tooMany = numberOfKeysProblem(signingJwks);
  if (tooMany !== undefined) return problem(tooMany);
  if (kind === "bank" && encryptionJwk !== null && encryptionJwk.kty !== "RSA") {
    return refuse("INVALID_KEY", "encryption_jwk is not an RSA key", { field: "encryption_jwk" });
  }
  const lacking = encryptionProblem({ roles }, encryptionJwk === null ? signingJwks : [encryptionJwk]);
  return lacking === undefined ? undefined : refuse("INVALID_KEY", lacking, { field: "encryption_jwk" });
}

/** Personal data is encrypted by RSA-OAEP: without an RSA key nobody could send a recipient bank a payment message. */
export function encryptionProblem(
  { roles }: Pick<Participant, "roles">,
  jwks: readonly PublicJwk[],
): string | undefined {
  return roles.includes("recipient") && !jwks.some(({ kty }) => kty === "RSA")
    ? "a recipient bank would be left without an RSA key that payments can be encrypted for"
    : undefined;
}

/** What is wrong with the number of keys of one use that would be valid at the same time, or undefined. */
export function numberOfKeysProblem(jwks: readonly PublicJwk[]): string | undefined {
  if (jwks.length > maxKeysAtOnce) return `has more than ${maxKeysAtOnce} keys`;
  const ofOneKid = Map.groupBy(jwks, ({ kid }) => kid);
  return [...ofOneKid.values()].some(({ length }) => length > maxKeysOfOneKid)
    ? `has more than ${maxKeysOfOneKid} keys of one kid`
    : undefined;
}

/** A link that browsers follow must be a web address: no `javascript:`, `file:` or `data:`. */
function linkProblem(
  { logoUrl, redirectUrl, deepLinkPrefix }: StatedParticipant,
  before: StatedParticipant | undefined,
): Refusal | undefined {
  for (const [field, text, known] of [
    ["logo_url", logoUrl, before?.logoUrl],
    ["redirect_url", redirectUrl, before?.redirectUrl],
  ] as const) {
    if (text !== null && text !== known && !isWebUrl(text)) {
      return refuse("INVALID_REQUEST", `${field} is not an http or https URL without a user name`, { field });
    }
  }
  if (deepLinkPrefix === null || isDeepLinkPrefix(deepLinkPrefix)) return undefined;
  const message = "deep_link_prefix does not begin like a link to an application (bank:// or https://)";
  return refuse("INVALID_REQUEST", message, { field: "deep_link_prefix" });
}

type WithDeepLinks = Pick<Participant, "kind" | "deepLinkPrefix">;

/** Whether deep links can send payers to this participant: it is a bank that has registered a prefix. */
export const hasDeepLinks = ({ kind, deepLinkPrefix }: WithDeepLinks) => kind === "bank" && deepLinkPrefix !== null;

/** Why this participant cannot state what its deep links contain, or undefined. */
export function deepLinkContentProblem(participant: WithDeepLinks): Refusal | undefined {
  if (hasDeepLinks(participant)) return undefined;
  const field = "deep_link_content";
  const why = participant.kind === "bank" ? "is given without deep_link_prefix" : "is for banks only";
  return refuse("INVALID_REQUEST", `${field} ${why}`, { field });
}

/**
 * Applications choose their own schemes; these few are refused because the browser would run or show what the link itself contains.
 */
export const isDeepLinkPrefix = (text: string) =>
  /^[a-z][a-z0-9+.-]*:/i.test(text) && !/^(javascript|data|vbscript|file|blob|about):/i.test(text);

function bankProblem(bank: StatedParticipant): Refusal | undefined {
  if (!/^\d{6}$/.test(bank.bic ?? "")) return refuse("INVALID_REQUEST", "bic is not six digits", { field: "bic" });
  if (bank.roles.length === 0) return refuse("INVALID_REQUEST", "roles names no role", { field: "roles" });
  if (bank.uid !== null) return refuse("INVALID_REQUEST", "uid is for merchants only", { field: "uid" });
  if (bank.jwksUrl !== null) {
    return refuse("INVALID_REQUEST", "jwks_url is for merchants only: a bank hands over its keys", {
      field: "jwks_url",
    });
  }
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

/** The callbacks that each role receives, and so the URLs that it must have; `base` stands in for any of them. */
const neededUrls = {
  initiator: ["pay_out"],
  recipient: ["pay_in", "credit"],
  merchant: ["pay_in", "expiration"],
} as const satisfies Record<BankRole | "merchant", readonly CallbackUrlName[]>;

/** Every needed callback must have a URL: without one it could never be delivered, and its payment would stay pending for ever. */
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
