import type { BankActor, MerchantActor } from "../../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../../domain/errors.ts";
import type { OrderCancellation, OrderRequest } from "../../domain/order.ts";
import { isOfKind } from "../../sdk/access.ts";
import { memberNamedTwice } from "../../sdk/json.ts";
import type { Claims } from "../../sdk/jws.ts";
import type { CoreContext } from "../context.ts";
import type { KeyWish } from "../participantKeys.ts";
import type { SubmittedMessage } from "../paymentMessages.ts";
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
 * Authentication: who makes a request, and what they have signed. Every use-case of a bank or a merchant takes a request that is
 * made here, from the signed claims and from nothing else.
 */
export type Identity = {
  /** The bank that signed the Cx-Authorization. */
  bankOf(presented: PresentedToken): Promise<BankActor | Refusal>;
  /** The merchant that signed the Cx-Authorization. */
  merchantOf(presented: Omit<PresentedToken, "counterpartyGuid">): Promise<MerchantActor | Refusal>;
  /** A note that lets the bank's read go on after its token has become too old. */
  continuationOf(actor: BankActor): string;
  /** The order that a merchant signed. */
  orderOf(jws: string): Promise<OrderRequest | Refusal>;
  /** The cancellation of an order that its merchant signed. */
  cancellationOf(jws: string): Promise<OrderCancellation | Refusal>;
  /** The payment message that the bank signed; `body` is the request body that it came in. */
  paymentMessageOf(actor: BankActor, jws: string, body: Uint8Array): Promise<SubmittedMessage | Refusal>;
  /** The bank's statement that it has paid a register, from its body. */
  payStatementOf(actor: BankActor, registerId: string, body: Uint8Array): Promise<PayStatement | Refusal>;
  /** The bank's statement how that payment ended, from its body. */
  confirmStatementOf(actor: BankActor, registerId: string, body: Uint8Array): Promise<ConfirmStatement | Refusal>;
  /** The new key that a bank adds, signed with one of its present keys. */
  ownKeyOf(actor: BankActor, body: Uint8Array): Promise<OwnKeyWish | Refusal>;
  /** Empties the cache of parties, because somebody was changed. */
  forget(): void;
  /** Stores which keys were used since the last time. */
  keepSeenKeys(): Promise<void>;
};

/** A new key of a bank, and the kid of the key that signed the request for it. */
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
    ...bankRequests(verification),
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
    // An order is not secret and may carry further claims: it must never be accepted as a cancellation.
    if (isOfKind(claims, "order")) return refusedToken({ tokenProblem: "kind", kid, party: merchant.uid ?? undefined });
    const valid = validClaims("OrderCancellationClaims", claims);
    if (isRefusal(valid)) return valid;
    const content = orderCancellation(valid.claims);
    if (isRefusal(content)) return content;
    return { ...content, merchantGuid: merchant.guid, merchantVersion: merchant.version, jws };
  },
});

type BankRequests = Pick<Identity, "paymentMessageOf" | "payStatementOf" | "confirmStatementOf" | "ownKeyOf">;

function bankRequests(verification: () => Verification): BankRequests {
  /**
   * What the bank states in a body, and the token that proves it: the signed body, or else the access token, which only names the
   * caller.
   */
  async function statedInBody(actor: BankActor, body: Uint8Array): Promise<{ claims: Claims; jws: string } | Refusal> {
    const statement = objectIn(body);
    if (isRefusal(statement)) return statement;
    const { jwt } = statement.claims;
    if (typeof jwt !== "string") return { claims: statement.claims, jws: actor.token };
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
      const statement = await statedInBody(actor, body);
      if (isRefusal(statement)) return statement;
      const valid = validClaims("GrossSettlementPaymentClaims", statement.claims);
      if (isRefusal(valid)) return valid;
      if ("status" in valid.claims) {
        // A signed confirmation that says "rejected", accepted as a payment, would be evidence of the opposite.
        const text = "status belongs to a confirmation; a payment has none";
        return refuse("INVALID_REQUEST", text, { field: "status" });
      }
      const payment = settlementPayment(valid.claims);
      return isRefusal(payment) ? payment : { ...bankStatement(actor, registerId, statement.jws), payment };
    },

    async confirmStatementOf(actor, registerId, body) {
      const statement = await statedInBody(actor, body);
      if (isRefusal(statement)) return statement;
      const valid = validClaims("GrossSettlementConfirmationClaims", statement.claims);
      if (isRefusal(valid)) return valid;
      const payment = settlementPayment(valid.claims);
      if (isRefusal(payment)) return payment;
      return { ...bankStatement(actor, registerId, statement.jws), payment, paymentStatus: valid.claims.status };
    },

    async ownKeyOf(actor, body) {
      const statement = objectIn(body);
      if (isRefusal(statement)) return statement;
      const { jwt } = statement.claims;
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

/** A bank's statement about a register; its evidence is the signed body or, where none is signed, the access token. */
export const bankStatement = (actor: BankActor, registerId: string, jws = actor.token): BankStatement => ({
  ...callerOf(actor),
  registerId,
  jws,
});

/**
 * An access token that binds a body (`body_sha256`) binds what is processed, so the processed JWS must come from that very body.
 */
function outsideOf(body: Uint8Array, jws: string): Refusal | undefined {
  if (bareIn(body) === jws) return undefined;
  const statement = objectIn(body);
  if (isRefusal(statement)) return statement;
  return statement.claims.jwt === jws
    ? undefined
    : refuse("INVALID_REQUEST", "jwt is not that of the body", { field: "jwt" });
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The token that makes up the whole of a body, white space around it aside. */
function bareIn(body: Uint8Array): string | undefined {
  try {
    return utf8.decode(body).trim();
  } catch {
    return undefined;
  }
}

/** The JSON object in a body. Invalid UTF-8 is refused: a lenient reader would replace it, and make two different texts equal. */
function objectIn(body: Uint8Array): { claims: Claims } | Refusal {
  try {
    const text = utf8.decode(body);
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
      // As in a token, a member named twice is refused: what is stored as evidence must mean the same to every parser.
      const field = memberNamedTwice(text, parsed);
      if (field !== undefined) return refuse("INVALID_REQUEST", `${field} is named twice`, { field });
      return { claims: parsed as Claims };
    }
  } catch {
    // No JSON; refused below.
  }
  return refuse("INVALID_REQUEST", "the body is not a JSON object");
}
