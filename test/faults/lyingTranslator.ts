import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code } from "@connectrpc/connect";
import { SubmitPaymentMessageRequestSchema } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { type Claims, peekJws, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { errorOf } from "../rpc/errorOf.ts";

// A captured translator: a process of its own that has a gateway's credential and whatever banks and merchants sent through it,
// and nothing else. It tells the core whatever it likes, and reports what the core made of it.

/** A bank's request as it came in; `token`: its Cx-Authorization. */
export type BankRequest = { guid: string; token: string; body: string };

export type Captured = {
  coreUrl: string;
  /** The translator's own credential. */
  credential: string;
  /** Payment messages of one bank for two orders; the token of the first binds its body. */
  bound: BankRequest;
  unbound: BankRequest;
  /** A payment message of another bank. */
  ofAnother: BankRequest;
  /** Of a bank that binds every change, without the binding. */
  careless: BankRequest;
  /** An order as the merchant signed it. */
  order: string;
  /** That a register was paid: with a body that the token binds, and with one that is signed. */
  pay: BankRequest & { registerId: string };
  signedPay: BankRequest & { registerId: string };
};

export type Report = { lie: string; answer: string }[];

type Options = { headers: Record<string, string> };
type Lie = [what: string, tell: () => Promise<unknown>];

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const jwtOf = ({ body }: BankRequest) => (JSON.parse(body) as { jwt: string }).jwt;
const bytes = (text: string) => Buffer.from(text);

/** The same signature over other claims. */
function withClaims(token: string, changes: Claims): string {
  const peeked = peekJws(token);
  if (!peeked.ok) throw new Error("the captured token is none");
  const [header, , signature] = token.split(".");
  return [header, part({ ...peeked.claims, ...changes }), signature].join(".");
}

function unsigned(token: string): string {
  const [, claims] = token.split(".");
  return `${part({ alg: "none", typ: "JWT" })}.${claims}.`;
}

const digest = (fill: number) => Buffer.alloc(32, fill).toString("base64url");

function as({ guid, token }: BankRequest, changes: Record<string, string> = {}): Options {
  return {
    headers: { "cx-authorization": token, "dcm-counterparty": guid, "dcm-request-digest": digest(1), ...changes },
  };
}

/** The fields that an older contract believed, beside the signed message. */
function withOldFields(jws: string, callerGuid: string) {
  const text = (value: string) => new BinaryWriter().string(value).finish();
  const money = new BinaryWriter().tag(1, WireType.LengthDelimited).string("UAH").tag(2, WireType.Varint).int64(1n);
  const message = create(SubmitPaymentMessageRequestSchema, { jws });
  message.$unknown = [
    { no: 1, wireType: WireType.LengthDelimited, data: text(callerGuid) },
    { no: 5, wireType: WireType.LengthDelimited, data: new BinaryWriter().bytes(money.finish()).finish() },
    { no: 11, wireType: WireType.LengthDelimited, data: text("another purpose") },
  ];
  return message;
}

async function lies(captured: Captured): Promise<Lie[]> {
  const { bound, unbound, ofAnother, careless, order, pay, signedPay } = captured;
  const clients = createClients(remoteTransport(captured.coreUrl, captured.credential));
  const submit = (jws: string, options: Options, body = "") =>
    clients.paymentMessages.submitPaymentMessage({ jws, body: bytes(body) }, options);
  const payRegister = (registerId: string, body: string, options: Options) =>
    clients.settlements.payRegister({ registerId, body: bytes(body) }, options);
  const forger = await generateKeyPair("RS256", (peekJws(bound.token) as { header: { kid: string } }).header.kid);
  const claimsOf = (token: string) => (peekJws(token) as { claims: Claims }).claims;
  const forgedToken = await signJws(claimsOf(bound.token), forger);
  const forgedMessage = await signJws(claimsOf(jwtOf(unbound)), forger);
  return [
    ["another bank's guid", () => submit(jwtOf(unbound), as(unbound, { "dcm-counterparty": ofAnother.guid }))],
    ["another bank's message", () => submit(jwtOf(ofAnother), as(unbound))],
    ["another bank's token", () => submit(jwtOf(unbound), as(ofAnother))],
    ["a message without a signature", () => submit(unsigned(jwtOf(unbound)), as(unbound))],
    ["a message with another amount", () => submit(withClaims(jwtOf(unbound), { amount: 1 }), as(unbound))],
    ["a message under a key of its own", () => submit(forgedMessage, as(unbound))],
    ["a token under a key of its own", () => submit(jwtOf(unbound), as({ ...unbound, token: forgedToken }))],
    ["a token without a signature", () => submit(jwtOf(unbound), as({ ...unbound, token: unsigned(unbound.token) }))],
    ["a message as the token", () => submit(jwtOf(unbound), as({ ...unbound, token: jwtOf(unbound) }))],
    ["an order as the message", () => submit(order, as(unbound))],
    ["no token", () => submit(jwtOf(unbound), { headers: {} })],
    ["two tokens", () => submit(jwtOf(unbound), as({ ...unbound, token: `${unbound.token}, ${ofAnother.token}` }))],
    ["a bound token with another message", () => submit(jwtOf(unbound), as(bound), unbound.body)],
    ["a bound token with another message in its body's place", () => submit(jwtOf(unbound), as(bound), bound.body)],
    ["a bound token without a body", () => submit(jwtOf(bound), as(bound))],
    ["an unbound token of who binds", () => submit(jwtOf(careless), as(careless), careless.body)],
    [
      "a bound payment of a register, changed",
      () => payRegister(pay.registerId, pay.body.replace("P-1", "P-2"), as(pay)),
    ],
    [
      "a signed payment of a register, changed",
      () =>
        payRegister(
          signedPay.registerId,
          JSON.stringify({ jwt: withClaims(jwtOf(signedPay), { amount: 1 }) }),
          as(signedPay),
        ),
    ],
    [
      "a payment of a register that another bank signed",
      () => payRegister(signedPay.registerId, signedPay.body, as(ofAnother)),
    ],
    ["an order with another amount", () => clients.orders.createOrder({ jws: withClaims(order, { amt: 1 }) })],
    ["an order without a signature", () => clients.orders.createOrder({ jws: unsigned(order) })],
    ["an order of its own", async () => clients.orders.createOrder({ jws: await signJws(claimsOf(order), forger) })],
    ["to be an operator", () => clients.settlements.closeRegisters({ day: "2026-01-31" })],
    [
      "to be an operator with a bank's token",
      () => clients.settlements.closeRegisters({ day: "2026-01-31" }, as(unbound)),
    ],
    ["to register a bank", () => clients.participants.registerBank({})],
    ["to make itself a credential", () => clients.credentials.addCredential({ name: "mine" })],
    // The last ones are the truth with lies around it: what was signed is done, and nothing else.
    [
      "fields beside the signed ones",
      () => clients.paymentMessages.submitPaymentMessage(withOldFields(jwtOf(unbound), ofAnother.guid), as(unbound)),
    ],
    ["a used token with another request", () => submit(jwtOf(bound), as(unbound, { "dcm-request-digest": digest(2) }))],
  ];
}

async function answerOf(tell: () => Promise<unknown>): Promise<string> {
  const { code, reason } = await errorOf(tell());
  return code === undefined ? "done" : (reason ?? Code[code]);
}

process.once("message", async (captured: Captured) => {
  const report: Report = [];
  for (const [lie, tell] of await lies(captured)) report.push({ lie, answer: await answerOf(tell) });
  process.send?.(report, () => process.exit(0));
});
