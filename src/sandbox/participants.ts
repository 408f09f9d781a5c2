import { randomInt, randomUUID } from "node:crypto";
import type { JWK } from "jose";
import type { components } from "../../gen/rest/types.ts";
import type { Claims } from "../sdk/jws.ts";
import { generateKeyPair, type KeyPair, type VerificationKey } from "../sdk/keys.ts";
import { decryptPersonalData, type Encryption, encryptPersonalData } from "../sdk/personalData.ts";
import {
  type Answer,
  bankClient,
  type CreatedOrder,
  fetchPlatformKeys,
  merchantClient,
  type OrderForBank,
} from "../sdk/platform.ts";
import { linkOnPage, orderOfLink } from "./deepLinks.ts";
import { CALLBACK_PATHS, type Call, openInbox, type UrlName } from "./inbox.ts";
import { kyivTime, makeIban, SAMPLE_PAYER } from "./samples.ts";

/** Where the platform is; `keys` replaces its JWKS address in tests without one. */
type PlatformAddress = { url: string; keys?: readonly VerificationKey[] };

type Common = {
  name?: string;
  taxCode?: string;
  key?: KeyPair;
  keepCalls?: number;
  onCall?: (call: Call) => void;
};
export type BankOptions = Common & {
  bic?: string;
  guid?: string;
  roles?: readonly ("initiator" | "recipient")[];
  deepLinkPrefix?: string | undefined;
};
export type MerchantOptions = Common & { uid?: string; bank: { guid: string; bic: string }; mcc?: string };

export type OrderWish = {
  amount?: number;
  currency?: string;
  ref?: string;
  purpose?: string;
  url?: string;
  expiresInSeconds?: number;
  /** Claims that override or extend the others, valid or not. */
  claims?: Claims;
};
export type SandboxOrder = CreatedOrder & { ref: string; amount: number };

const DEFAULT_ORDER_SECONDS = 3600;

/** Starts a bank: a server for its callbacks, a key pair, an account, and a client of the platform. */
export async function startBank(options: BankOptions = {}) {
  const guid = options.guid ?? randomUUID();
  const bic = options.bic ?? String(randomInt(300_000, 400_000));
  const deepLinkPrefix = options.deepLinkPrefix ?? `https://bank.example/${bic}/pay/`;
  const self = await settleIn(options, guid);
  const { inbox, key } = self;
  const client = () => bankClient({ url: self.platform().url, guid, key });

  /** Reads the order, encrypts for its bank, and submits the payment message; `changes` override claims, valid or not. */
  async function submits(order: { id: string }, changes: Claims = {}) {
    return sends(await reads(order), changes);
  }

  async function reads({ id }: { id: string }): Promise<OrderForBank> {
    return expectOk(await client().getOrderForBank(id), "The order cannot be read");
  }

  async function sends(read: OrderForBank, changes: Claims) {
    return client().submitPaymentMessage({ ...(await composeMessage(read, bic)), ...changes });
  }

  return {
    ...inbox,
    kind: "bank" as const,
    name: options.name ?? "Sandbox Bank",
    guid,
    bic,
    key,
    roles: options.roles ?? (["initiator", "recipient"] as const),
    taxCode: options.taxCode ?? String(randomInt(10_000_000, 99_999_999)),
    iban: makeIban(bic, 1),
    callbackUrls: callbackUrls(inbox.url, ["pay_in", "pay_out", "credit", "gross_settlement"]),
    deepLinkPrefix,
    joins: self.joins,
    client,
    /** Reads an order as a bank that may pay it; throws when the platform refuses. */
    reads,
    submits,
    /** The link to this bank on the order's payment page, as a payer's phone shows it. */
    linkTo: (order: { id: string }) => linkOnPage(self.platform().url, order, deepLinkPrefix),
    /** The order in such a link; throws if the link is another bank's, or its signature is not the platform's. */
    opens: (link: string) => orderOfLink(link, deepLinkPrefix, self.platformKeys),
    /**
     * Pays an order and answers the payment message's guid; throws when the platform refuses. A payer is debited before the
     * message goes out, so first of all the order must still be open.
     */
    async pays(order: { id: string }, changes: Claims = {}): Promise<string> {
      const read = await reads(order);
      if (read.status !== "Created") throw new Error(`The order cannot be paid any more: it is ${read.status}`);
      return expectOk(await sends(read, changes), "The payment message is refused").guid;
    },
    /** Decrypts the personal data of a payment message that was encrypted for this bank. */
    decrypts(message: Claims) {
      const debtor = message.debtor as Record<string, string>;
      const creditor = message.creditor as Record<string, string>;
      const fields = {
        debtor_name: debtor.debtor_name ?? "",
        debtor_id: debtor.debtor_id ?? "",
        creditor_name: creditor.creditor_name ?? "",
        creditor_id: creditor.creditor_id ?? "",
      };
      return decryptPersonalData(fields, message.encryption as Encryption, key.privateJwk);
    },
  };
}

/** Starts a merchant that a bank services. */
export async function startMerchant(options: MerchantOptions) {
  const uid = options.uid ?? randomUUID();
  const self = await settleIn(options, uid);
  const { inbox, key } = self;
  const client = () => merchantClient({ url: self.platform().url, uid, key });

  async function creates(wish: OrderWish = {}): Promise<Answer<SandboxOrder>> {
    const claims = composeOrder(wish, new Date());
    const answer = await client().createOrder(claims);
    if (!answer.ok) return answer;
    return { ...answer, body: { ...answer.body, ref: claims.ref, amount: claims.amt } };
  }

  return {
    ...inbox,
    kind: "merchant" as const,
    name: options.name ?? "Sandbox Shop",
    uid,
    key,
    bankGuid: options.bank.guid,
    taxCode: options.taxCode ?? String(randomInt(10_000_000, 99_999_999)),
    mcc: options.mcc ?? "5732",
    iban: makeIban(options.bank.bic, randomInt(2, 1_000_000_000)),
    callbackUrls: callbackUrls(inbox.url, ["pay_in", "expiration"]),
    joins: self.joins,
    client,
    /** Creates an order and returns the platform's answer as it is. */
    creates,
    /** Creates an order; throws when the platform refuses. */
    async order(wish: OrderWish = {}): Promise<SandboxOrder> {
      return expectOk(await creates(wish), "The order is refused");
    },
  };
}

export type SandboxBank = Awaited<ReturnType<typeof startBank>>;
export type SandboxMerchant = Awaited<ReturnType<typeof startMerchant>>;

/** The common parts of every participant: a key, an inbox, and the platform's address once it is known. */
async function settleIn(options: Common, audience: string) {
  let address: PlatformAddress | undefined;
  let keys: Promise<readonly VerificationKey[]> | undefined;
  const platform = () => {
    if (!address) throw new Error(`${options.name ?? audience} has not joined a platform yet`);
    return address;
  };
  const platformKeys = async (refresh: boolean) => {
    const given = platform().keys;
    if (given) return given;
    if (refresh || !keys) keys = fetchPlatformKeys(platform());
    // A failed fetch must not be cached.
    return keys.catch((error) => {
      keys = undefined;
      throw error;
    });
  };
  const key = await (options.key ?? generateKeyPair());
  const inbox = await openInbox({
    audience,
    platformKeys,
    proves: [key],
    ...(options.keepCalls === undefined ? {} : { keepCalls: options.keepCalls }),
    ...(options.onCall ? { onCall: options.onCall } : {}),
  });
  /** Tells the participant where the platform is. */
  const joins = (where: PlatformAddress) => {
    address = where;
    keys = undefined;
  };
  return { key, inbox, platform, platformKeys, joins };
}

type Schemas = components["schemas"];

function callbackUrls(url: string, names: readonly UrlName[]): Partial<Record<UrlName, string>> {
  return Object.fromEntries(["base" as const, ...names].map((name) => [name, `${url}/${CALLBACK_PATHS[name]}`]));
}

function composeOrder(wish: OrderWish, now: Date) {
  const iat = Math.floor(now.getTime() / 1000);
  const ref = wish.ref ?? randomUUID();
  return {
    iat,
    exp: iat + (wish.expiresInSeconds ?? DEFAULT_ORDER_SECONDS),
    amt: wish.amount ?? 21,
    cur: wish.currency ?? "UAH",
    ref,
    prp: wish.purpose ?? `Payment for order ${ref}`,
    url: wish.url ?? "https://shop.example/thanks",
    ...wish.claims,
  } satisfies Omit<Schemas["OrderClaims"], "sub">;
}

async function composeMessage(order: OrderForBank, bic: string): Promise<Schemas["PaymentMessageClaims"]> {
  const { date, time } = kyivTime(new Date());
  const person = {
    debtor_name: SAMPLE_PAYER.debtor_name,
    debtor_id: SAMPLE_PAYER.debtor_id,
    creditor_name: order.recn,
    creditor_id: order.recc,
  };
  if (!order.public_key) throw new Error("The order does not say for which key its people are encrypted");
  const { fields, encryption } = await encryptPersonalData(person, order.public_key as JWK);
  return {
    jti: randomUUID(),
    payment_message_external_id: randomUUID(),
    amount: order.amt,
    currency: order.cur,
    debtor_agent_bic: bic,
    debtor: {
      debtor_name: fields.debtor_name,
      debtor_id: fields.debtor_id,
      debtor_account: makeIban(bic, 26_007_233_566_001n),
      debtor_phone: SAMPLE_PAYER.debtor_phone,
    },
    creditor_agent_bic: order.bic,
    creditor: { creditor_name: fields.creditor_name, creditor_id: fields.creditor_id, creditor_account: order.acc },
    order_id: order.id,
    purpose: order.prp,
    msg_creation_date: date,
    msg_creation_time: time,
    pm_type: "trade",
    sender_account_type: "limit-related",
    encryption,
  };
}

/** What the platform answered; a refusal throws. */
export function expectOk<T>(answer: Answer<T>, what: string): T {
  if (answer.ok) return answer.body;
  throw new Error(`${what}: HTTP ${answer.status} ${JSON.stringify(answer.body)}`);
}
