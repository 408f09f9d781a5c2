import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { SubmittedMessage } from "../../src/core/paymentMessages.ts";
import type { Sql } from "../../src/db/pool.ts";
import type { Participant } from "../../src/domain/participant.ts";
import {
  accepted,
  bankActor,
  bankRegistration,
  bankStatement,
  createOrder,
  merchantRegistration,
  openPlatform,
  operator,
  orderRequest,
  type Parties,
  type Platform,
  paymentRequest,
  payWithSuccess,
  reasonOf,
  registerParties,
  serial,
  tokenOf,
} from "./platform.ts";

// Between the moment at which a signature is verified and the one at which what it covers is stored, its key may be withdrawn and
// its party suspended. Each of these tests makes the change at exactly that moment.

let platform: Platform;
beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

type Change = (who: Participant) => Promise<unknown>;

const suspend: Change = ({ guid }) => platform.core.suspendParticipant(operator, { guid, version: undefined });

const withdrawals: [what: string, change: Change][] = [
  [
    "retired",
    ({ guid, keys }) => platform.core.retireParticipantKey(operator, guid, { kid: keys[0]?.kid ?? "", at: null }),
  ],
  [
    "replaced by an operator",
    ({ guid }) => platform.core.updateParticipant(operator, guid, { signingJwks: [{ kid: `next-${serial()}` }] }),
  ],
  [
    "replaced by the bank itself",
    (bank) =>
      platform.core.addOwnKey(bankActor(bank, tokenOf(`own-${serial()}`)), {
        jwk: { kid: `next-${serial()}` },
        retireOthersAt: new Date(0),
        signedWith: bank.keys[0]?.kid ?? "",
      }),
  ],
];

/** Whatever takes away what a party may do. */
const changes: [what: string, change: Change][] = [
  ...withdrawals.map(([what, change]): [string, Change] => [`the key is ${what}`, change]),
  ["the party is suspended", suspend],
];

/** A core that does something once before, or once after, the first statement of a name. */
function coreThat(
  when: "before" | "after",
  name: string,
  work: () => Promise<unknown>,
): { core: Core; calls: string[] } {
  const { db } = platform.context;
  const calls: string[] = [];
  let isDone = false;
  const once = async () => {
    if (isDone) return;
    isDone = true;
    accepted(await work());
  };
  const around =
    (sql: Sql): Sql =>
    async (statement, values) => {
      calls.push(statement.name);
      const isMeant = statement.name === name;
      if (isMeant && when === "before") await once();
      const rows = await sql<never>(statement, values);
      if (isMeant && when === "after") await once();
      return rows;
    };
  const transaction: typeof db.transaction = (work) => db.transaction((sql) => work(around(sql)));
  return { core: createCore({ ...platform.context, db: { ...db, hot: around(db.hot), transaction } }), calls };
}

const changed = { status: "rejected", reason: expect.any(PartyChanged) };
const outcome = (settled: PromiseSettledResult<unknown>) =>
  settled.status === "fulfilled" ? reasonOf(settled.value) : settled.reason;

const storedMessages = async (...requests: SubmittedMessage[]) => {
  const jtis = requests.map(({ jti }) => jti);
  const rows = await platform.rows<{ jti: string }>("select jti from payment_message where jti = any($1)", jtis);
  return rows.map(({ jti }) => jti);
};
const isUsed = async (jti: string) =>
  (await platform.rows("select from used_access_token where jti = $1", jti)).length > 0;

describe("a payment message", () => {
  test.each(changes)(
    "%s: it is not stored, its token stays unused, its neighbour is accepted",
    async (_what, change) => {
      const [mine, neighbour] = [await registerParties(platform), await registerParties(platform)];
      const requests = [
        paymentRequest(platform, mine, await createOrder(platform, mine.merchant)),
        paymentRequest(platform, neighbour, await createOrder(platform, neighbour.merchant)),
      ] as const;
      const { core, calls } = coreThat("after", "select_submission_facts", () => change(mine.initiator));
      const [ofMine, ofNeighbour] = await Promise.allSettled(
        requests.map((request) => core.submitPaymentMessage(request)),
      );
      expect(ofMine).toEqual(changed);
      expect(ofNeighbour && outcome(ofNeighbour)).toBe("accepted");
      expect(await storedMessages(...requests)).toEqual([requests[1].jti]);
      expect(await isUsed(requests[0].accessToken.jti)).toBe(false);
      expect(calls.filter((name) => name === "store_submissions")).toHaveLength(2);
    },
  );

  const sides: [side: "merchant" | "recipient", sentence: string][] = [
    ["merchant", "the order cannot be paid now: the merchant is suspended"],
    ["recipient", "the order cannot be paid now: the bank that services the merchant is suspended"],
  ];
  test.each(sides)(
    "the %s of its order is suspended: it is decided again and refused, its neighbour is accepted",
    async (side, message) => {
      const [mine, neighbour] = [await registerParties(platform), await registerParties(platform)];
      const order = await createOrder(platform, mine.merchant);
      const requests = [
        paymentRequest(platform, mine, order),
        paymentRequest(platform, neighbour, await createOrder(platform, neighbour.merchant)),
      ] as const;
      const { core, calls } = coreThat("after", "select_submission_facts", () => suspend(mine[side]));
      const answers = await Promise.all(requests.map((request) => core.submitPaymentMessage(request)));
      expect(answers[0]).toMatchObject({ refused: "RECEIVER_COUNTERPARTY_SUSPENDED", message, field: "order_id" });
      expect(reasonOf(answers[1])).toBe("accepted");
      expect(await storedMessages(...requests)).toEqual([requests[1].jti]);
      expect(calls.filter((name) => name === "select_submission_facts")).toHaveLength(2);
      // Nothing of it happened: once its side is resumed the order is paid.
      const { guid } = mine[side];
      accepted(await platform.core.resumeParticipant(operator, { guid, version: undefined }));
      expect(reasonOf(await platform.core.submitPaymentMessage(requests[0]))).toBe("accepted");
    },
  );

  test("a key of the recipient bank that is retired meanwhile is not the one that is stored", async () => {
    const parties = await registerParties(platform, {
      recipient: { signingJwks: [{ kid: `first-${serial()}` }, { kid: `second-${serial()}` }] },
    });
    const request = paymentRequest(platform, parties, await createOrder(platform, parties.merchant));
    const [first, second] = parties.recipient.keys;
    const { core } = coreThat("after", "select_submission_facts", () =>
      platform.core.retireParticipantKey(operator, parties.recipient.guid, { kid: first?.kid ?? "", at: null }),
    );
    const { guid } = accepted(await core.submitPaymentMessage(request));
    const stored = accepted(await platform.core.getPaymentMessage(undefined, { guid }));
    expect(JSON.parse(stored.creditorAgentJwk)).toEqual(second?.jwk);
  });
});

describe("an order", () => {
  const ofMerchant = changes.filter(([what]) => !what.includes("itself"));

  test.each(ofMerchant)("%s: it is not created, its neighbour is", async (_what, change) => {
    const { merchant, recipient } = await registerParties(platform);
    const other = accepted(await platform.core.registerParticipant(operator, merchantRegistration(recipient)));
    const requests = [orderRequest(platform, merchant), orderRequest(platform, other)] as const;
    const { core } = coreThat("before", "insert_orders", () => change(merchant));
    const [mine, neighbour] = await Promise.allSettled(requests.map((request) => core.createOrder(request)));
    expect([mine, neighbour && outcome(neighbour)]).toEqual([changed, "accepted"]);
    const refs = requests.map(({ ref }) => ref);
    expect(await platform.rows("select ref from payment_order where ref = any($1)", refs)).toEqual([
      { ref: requests[1].ref },
    ]);
  });

  test.each(ofMerchant)("%s: nor is the one that exists answered again", async (_what, change) => {
    const { merchant } = await registerParties(platform);
    const request = orderRequest(platform, merchant);
    accepted(await platform.core.createOrder(request));
    const { core } = coreThat("before", "insert_orders", () => change(merchant));
    await expect(core.createOrder(request)).rejects.toThrow(PartyChanged);
  });
});

describe("a statement about a register", () => {
  let parties: Parties;
  let registerId: string;
  beforeAll(async () => {
    // One institution on both sides, so that a register needs no payment to be confirmed.
    const encryptionJwk = { kid: `enc-${serial()}` };
    const bank = accepted(await platform.core.registerParticipant(operator, bankRegistration({ encryptionJwk })));
    const merchant = accepted(await platform.core.registerParticipant(operator, merchantRegistration(bank)));
    parties = { initiator: bank, recipient: bank, merchant };
    await payWithSuccess(platform, parties, { decidedAt: "2026-03-01T09:00:00Z" });
    const registers = accepted(await platform.core.closeRegisters(operator, "2026-03-01", false));
    registerId = registers.find(({ status }) => status === RegisterStatus.SENT_INTERNAL)?.id ?? "";
  });

  test.each(changes)("%s: it is not kept, and its token stays unused", async (_what, change) => {
    const bank = accepted(await platform.core.getParticipant({ guid: parties.initiator.guid }));
    const statement = bankStatement(platform, bank, registerId);
    const { core } = coreThat("before", "select_access_token", () => change(bank));
    await expect(core.confirmInternalRegister(statement)).rejects.toThrow(PartyChanged);
    const acts = await platform.rows("select from register_act where register_id = $1 and kind <> 'made'", registerId);
    expect([acts, await isUsed(statement.accessToken.jti)]).toEqual([[], false]);
    accepted(await platform.core.resumeParticipant(operator, { guid: bank.guid, version: undefined }));
  });

  test("as what its bank is now, it is kept, also while the bank is suspended", async () => {
    accepted(await suspend(parties.initiator));
    const bank = accepted(await platform.core.getParticipant({ guid: parties.initiator.guid }));
    expect(bank.status).toBe("suspended");
    const statement = bankStatement(platform, bank, registerId);
    expect(await platform.core.confirmInternalRegister(statement)).toEqual({ repeated: false });
  });
});

describe("a key of a bank's own", () => {
  test.each(changes)("%s: it is not added, and its token stays unused", async (_what, change) => {
    const bank = accepted(
      await platform.core.registerParticipant(operator, bankRegistration({ roles: ["initiator"] })),
    );
    const token = tokenOf(`late-${serial()}`);
    accepted(await change(bank));
    const before = await platform.core.listParticipantKeys(bank.guid);
    const wish = { jwk: { kid: `late-${serial()}` }, retireOthersAt: null, signedWith: "the old one" };
    await expect(platform.core.addOwnKey(bankActor(bank, token), wish)).rejects.toThrow(PartyChanged);
    expect(await platform.core.listParticipantKeys(bank.guid)).toEqual(before);
    expect(await isUsed(token.jti)).toBe(false);
  });
});
