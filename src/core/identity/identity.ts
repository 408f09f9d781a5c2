import type { BankActor, MerchantActor } from "../../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../../domain/errors.ts";
import type { OrderCancellation, OrderRequest } from "../../domain/order.ts";
import type { PaymentMessageRequest } from "../../domain/paymentMessage.ts";
import { isOfKind } from "../../sdk/access.ts";
import { memberNamedTwice } from "../../sdk/json.ts";
import type { Claims } from "../../sdk/jws.ts";
import type { CoreContext } from "../context.ts";
import type { KeyWish } from "../participantKeys.ts";
import type { BankStatement, ConfirmStatement, PayStatement } from "../registerStatements.ts";
import type { PresentedToken } from "./accessToken.ts";
import { bankOfToken } from "./bankToken.ts";
import { validClaims } from "./claims.ts";
import { beganAt, continuationOf } from "./continuation.ts";
import { merchantOfToken } from "./merchantToken.ts";
import { createParties } from "./parties.ts";
import { keyWish, orderCancellation, orderContent, paymentMessageContent, settlementPayment } from "./requests.ts";
import { createSeenKeys } from "./seenKeys.ts";
import { refusedToken, signedByBank, signedByMerchant, type Verification } from "./signed.ts";

/**
 * Who asks, and what they have signed. Every use-case of a bank or a merchant gets its request from here, made from the
 * signed claims and from nothing else.
 */
export type Identity = {
  /** The bank whose Cx-Authorization it is. */
  bankOf(presented: PresentedToken): Promise<BankActor | Refusal>;
  /** The merchant whose Cx-Authorization it is. */
  merchantOf(presented: Omit<PresentedToken, "counterpartyGuid">): Promise<MerchantActor | Refusal>;
  /** With what the bank's read goes on, also after its token has become too old. */
  continuationOf(actor: BankActor): string;
  /** The order that a merchant signed. */
  orderOf(jws: string): Promise<OrderRequest | Refusal>;
  /** The cancellation of an order that its merchant signed. */
  cancellationOf(jws: string): Promise<OrderCancellation | Refusal>;
  /** The payment message that the bank signed; `body` is what it came in. */
  paymentMessageOf(actor: BankActor, jws: string, body: Uint8Array): Promise<PaymentMessageRequest | Refusal>;
  /** That the bank has paid a register, as its body says. */
  payStatementOf(actor: BankActor, registerId: string, body: Uint8Array): Promise<PayStatement | Refusal>;
  /** How that payment ended, as its body says. */
  confirmStatementOf(actor: BankActor, registerId: string, body: Uint8Array): Promise<ConfirmStatement | Refusal>;
  /** The key that a bank has signed with one of its keys. */
  ownKeyOf(actor: BankActor, body: Uint8Array): Promise<OwnKeyWish | Refusal>;
  /** Somebody was changed since the last look: everybody is looked up anew. */
  forget(): void;
  /** Writes down which keys were used since the last time. */
  keepSeenKeys(): Promise<void>;
};

/** A new key of a bank, and the kid of the key that signed the wish. */
type OwnKeyWish = KeyWish & { signedWith: string };

export function createIdentity(context: CoreContext): Identity {
  const parties = createParties(context);
  const { secret } = context.platformKeys;
  const seenKeys = createSeenKeys(context);
  const verification = () => ({ parties, now: context.now(), seen: seenKeys.note });
  return {
    bankOf(presented) {
      const { token, isChange, continuation } = presented;
      const now = context.now();
      const began = continuation === undefined || isChange ? undefined : beganAt(secret, token, continuation, now);
      return bankOfToken(presented, verification(), { asOf: began ?? now, publicUrl: context.publicUrl() });
    },

    merchantOf(presented) {
      return merchantOfToken(presented, verification(), { asOf: context.now(), publicUrl: context.publicUrl() });
    },

    continuationOf: ({ token, judgedAt }) => continuationOf(secret, token, judgedAt),

    ...saidByMerchants(verification),
    ...saidByBanks(verification),
    forget: parties.forget,
    keepSeenKeys: seenKeys.keep,
  };
}

const saidByMerchants = (verification: () => Verification): Pick<Identity, "orderOf" | "cancellationOf"> => ({
  async orderOf(jws) {
    const signed = await signedByMerchant(jws, verification());
    if (isRefusal(signed)) return signed;
    const valid = validClaims("OrderClaims", signed.claims);
    if (isRefusal(valid)) return valid;
    const content = orderContent(valid.claims);
    if (isRefusal(content)) return content;
    const { guid: merchantGuid, version: merchantVersion } = signed.merchant;
    return { ...content, merchantGuid, merchantVersion, jws };
  },

  async cancellationOf(jws) {
    const signed = await signedByMerchant(jws, verification());
    if (isRefusal(signed)) return signed;
    const { claims, kid, merchant } = signed;
    // An order may say anything beside its claims, and stands in logs: it must never cancel one.
    if (isOfKind(claims, "order")) return refusedToken({ tokenProblem: "kind", kid, party: merchant.uid ?? undefined });
    const valid = validClaims("OrderCancellationClaims", claims);
    if (isRefusal(valid)) return valid;
    const content = orderCancellation(valid.claims);
    if (isRefusal(content)) return content;
    return { ...content, merchantGuid: merchant.guid, merchantVersion: merchant.version, jws };
  },
});

type SaidByBanks = Pick<Identity, "paymentMessageOf" | "payStatementOf" | "confirmStatementOf" | "ownKeyOf">;

function saidByBanks(verification: () => Verification): SaidByBanks {
  /** What the bank says in a body, and what of the request it has signed: the body itself, or only that it is the caller. */
  async function stated(actor: BankActor, body: Uint8Array): Promise<{ claims: Claims; jws: string } | Refusal> {
    const said = objectIn(body);
    if (isRefusal(said)) return said;
    const { jwt } = said.claims;
    if (typeof jwt !== "string") return { claims: said.claims, jws: actor.token };
    const signed = await signedByBank(actor.bank, jwt, verification());
    return isRefusal(signed) ? signed : { claims: signed.claims, jws: jwt };
  }

  return {
    async paymentMessageOf(actor, jws, body) {
      const elsewhere = actor.bindsBody ? outsideOf(body, jws) : undefined;
      if (elsewhere !== undefined) return elsewhere;
      const signed = await signedByBank(actor.bank, jws, verification());
      if (isRefusal(signed)) return signed;
      const valid = validClaims("PaymentMessageClaims", signed.claims);
      if (isRefusal(valid)) return valid;
      const content = paymentMessageContent(valid.claims);
      return isRefusal(content) ? content : { ...content, ...callerOf(actor), jws };
    },

    async payStatementOf(actor, registerId, body) {
      const said = await stated(actor, body);
      if (isRefusal(said)) return said;
      const valid = validClaims("GrossSettlementPaymentClaims", said.claims);
      if (isRefusal(valid)) return valid;
      if ("status" in valid.claims) {
        // Taken for a payment, a signed confirmation would be evidence of the contrary.
        const text = "status belongs to a confirmation; a payment has none";
        return refuse("INVALID_REQUEST", text, { field: "status" });
      }
      const payment = settlementPayment(valid.claims);
      return isRefusal(payment) ? payment : { ...bankStatement(actor, registerId, said.jws), payment };
    },

    async confirmStatementOf(actor, registerId, body) {
      const said = await stated(actor, body);
      if (isRefusal(said)) return said;
      const valid = validClaims("GrossSettlementConfirmationClaims", said.claims);
      if (isRefusal(valid)) return valid;
      const payment = settlementPayment(valid.claims);
      if (isRefusal(payment)) return payment;
      return { ...bankStatement(actor, registerId, said.jws), payment, paymentStatus: valid.claims.status };
    },

    async ownKeyOf(actor, body) {
      const said = objectIn(body);
      if (isRefusal(said)) return said;
      const { jwt } = said.claims;
      if (typeof jwt !== "string") return refuse("INVALID_REQUEST", "jwt is missing", { field: "jwt" });
      const signed = await signedByBank(actor.bank, jwt, verification());
      if (isRefusal(signed)) return signed;
      const valid = validClaims("NewKeyClaims", signed.claims);
      if (isRefusal(valid)) return valid;
      const wish = keyWish(valid.claims);
      return isRefusal(wish) ? wish : { ...wish, signedWith: signed.kid };
    },
  };
}

const callerOf = ({ bank, access }: BankActor) => ({
  callerGuid: bank.guid,
  callerVersion: bank.version,
  accessToken: access,
});

/** What a bank states about a register by its access token alone, or with a body that it signed. */
export const bankStatement = (actor: BankActor, registerId: string, jws = actor.token): BankStatement => ({
  ...callerOf(actor),
  registerId,
  jws,
});

/** A token that binds a body binds what is processed, so that must come from this body. */
function outsideOf(body: Uint8Array, jws: string): Refusal | undefined {
  if (bareIn(body) === jws) return undefined;
  const said = objectIn(body);
  if (isRefusal(said)) return said;
  return said.claims.jwt === jws
    ? undefined
    : refuse("INVALID_REQUEST", "jwt is not that of the body", { field: "jwt" });
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The token that is the whole of a body, but for the white space around it. */
function bareIn(body: Uint8Array): string | undefined {
  try {
    return utf8.decode(body).trim();
  } catch {
    return undefined;
  }
}

/** The object in a body. What is no UTF-8 would be repaired by a lenient reader, and different texts become one. */
function objectIn(body: Uint8Array): { claims: Claims } | Refusal {
  try {
    const text = utf8.decode(body);
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
      // As of a token: what is kept must mean the same to every reader of it.
      const field = memberNamedTwice(text, parsed);
      if (field !== undefined) return refuse("INVALID_REQUEST", `${field} is named twice`, { field });
      return { claims: parsed as Claims };
    }
  } catch {
    // Said below.
  }
  return refuse("INVALID_REQUEST", "the body is not a JSON object");
}
