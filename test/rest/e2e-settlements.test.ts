import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { SandboxBank } from "../../src/sandbox/participants.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { addPayments } from "../support/manyPayments.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { access, post } from "./forge.ts";

// Paying and confirming registers as a bank does it, from the contract (wire-contract section 7).

type Register = { id: string; charging_account: string; total_amount_to_pay: string; purpose: string; status: string };
type Body = Record<string, unknown>;

let platform: Platform;
let both: SandboxBank;
let stranger: SandboxBank;
let register: Register;
let serial = 0;

beforeAll(async () => {
  platform = await startPlatform();
  both = await platform.newBank({ name: "Both Sides Bank" });
  stranger = await platform.newBank({ name: "Stranger Bank" });
});
/** Each test has a register of its own: of one payment more, closed at once. */
beforeEach(async () => {
  register = await newRegister();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

async function newRegister(amount = 100.05): Promise<Register> {
  const guid = await platform.pays({ amount });
  await platform.endsAllCallbacks();
  return closed(platform.initiator, guid);
}

async function closed(bank: SandboxBank, guid: string): Promise<Register> {
  const { json } = await ask(bank, "GET", `/${await platform.registerOf(guid)}`);
  return json as Register;
}

async function ask(bank: SandboxBank, method: string, path: string) {
  const url = `${platform.url()}/api/v1/counterparty/${bank.guid}/gross-settlement${path}`;
  const response = await fetch(url, { method, headers: await access(bank.key) });
  return { status: response.status, headers: response.headers, json: (await response.json()) as Body };
}

/** Answers the status and the body, which is all that a bank has to go by. */
async function tell(path: string, body: unknown, bank = platform.initiator): Promise<[number, Body]> {
  const url = `${platform.url()}/api/v1/counterparty/${bank.guid}/gross-settlement${path}`;
  const response = await post(url, body, await access(bank.key));
  return [response.status, (await response.json()) as Body];
}

const pay = (body: unknown, bank?: SandboxBank) => tell(`/pay/${register.id}`, body, bank);
const confirm = (body: unknown, bank?: SandboxBank) => tell(`/pay/${register.id}/confirm`, body, bank);
const statusNow = async () => (await ask(platform.initiator, "GET", `/${register.id}`)).json.status;

/** What the register asks for. */
function payment(changes: Body = {}): Body {
  serial += 1;
  return {
    payment_message_external_id: `P-${serial}`,
    creditor_iban: register.charging_account,
    amount: Number(register.total_amount_to_pay),
    currency: "UAH",
    purpose: register.purpose,
    creation_date: "2023-12-11T09:15:00+02:00",
    ...changes,
  };
}

const created = { created: "true" };
const refused = (error: string, description: unknown = expect.any(String)) => ({ error, description });

describe("payGrossSettlement and confirmGrossSettlement", () => {
  test("a register is paid and confirmed; each answer again is 208 with the same body", async () => {
    const paid = payment();
    expect(await pay(paid)).toEqual([201, created]);
    expect(await pay(paid)).toEqual([208, created]);
    expect(await statusNow()).toBe("Processing");
    expect(await confirm({ ...paid, status: "ACSC" })).toEqual([201, created]);
    expect(await confirm({ ...paid, status: "ACCC" })).toEqual([208, created]);
    expect(await statusNow()).toBe("Paid");
    expect(await pay(payment())).toEqual([409, refused("REGISTER_ALREADY_PAID")]);
    expect(await confirm({ ...paid, status: "RJCT" })).toEqual([409, refused("REGISTER_ALREADY_PAID")]);
  });

  test("after a payment that failed the register is paid with a new id", async () => {
    const failed = payment();
    await pay(failed);
    expect(await confirm({ ...failed, status: "RJCT" })).toEqual([201, created]);
    expect(await confirm({ ...failed, status: "CANC" })).toEqual([208, created]);
    expect(await statusNow()).toBe("Sent");
    expect(await pay(failed)).toEqual([409, refused("PAYMENT_ID_USED")]);
    expect(await pay(payment())).toEqual([201, created]);
  });

  test("50 equal payments at once: one is 201, the others are 208, and it is paid once", async () => {
    const paid = payment();
    const answers = await Promise.all(Array.from({ length: 50 }, () => pay(paid)));
    const statuses = answers.map(([status]) => status).sort();
    expect(statuses).toEqual([201, ...Array(49).fill(208)]);
    const acts = await platform.rows("select from register_act where register_id = $1 and kind = 'paid'", register.id);
    expect(acts).toHaveLength(1);
  });

  test.each([
    ["amount", 100.06],
    ["creditor_iban", "UA063808160041469948322523389"],
    ["currency", "EUR"],
    ["purpose", "something else"],
  ])("another %s than the register's is wrong_data, which names it", async (field, value) => {
    expect(await pay(payment({ [field]: value }))).toEqual([
      409,
      refused("wrong_data", expect.stringMatching(`^${field} differs`)),
    ]);
    expect(await statusNow()).toBe("Sent");
    expect(await pay(payment())).toEqual([201, created]);
  });

  test("only the initiator bank: the recipient is told so, and for others there is no register", async () => {
    const onlyInitiator = refused("FORBIDDEN", "only the initiator bank pays and confirms a register");
    expect(await pay(payment(), platform.recipient)).toEqual([403, onlyInitiator]);
    expect(await confirm({ ...payment(), status: "ACSC" }, platform.recipient)).toEqual([403, onlyInitiator]);
    expect(await pay(payment(), stranger)).toEqual([400, refused("REGISTER_NOT_FOUND", "not found")]);
    const url = `${platform.url()}/api/v1/counterparty/${platform.initiator.guid}/gross-settlement/pay/${register.id}`;
    const foreignPath = await post(url, payment(), await access(stranger.key));
    expect([foreignPath.status, await foreignPath.json()]).toEqual([
      403,
      refused("FORBIDDEN", "the counterparty in the path is not the caller"),
    ]);
  });

  test("what cannot be confirmed: an unpaid register, another payment, a status that is not final", async () => {
    const paid = payment();
    expect(await confirm({ ...paid, status: "ACSC" })).toEqual([400, refused("REGISTER_NOT_PAID")]);
    await pay(paid);
    expect(await confirm({ ...payment(), status: "ACSC" })).toEqual([409, refused("wrong_data")]);
    expect(await confirm({ ...paid, status: "ACSP" })).toEqual([400, refused("STATUS_NOT_FINAL")]);
    expect(await confirm(paid)).toEqual([400, refused("INVALID_REQUEST", "status is missing")]);
    expect(await statusNow()).toBe("Processing");
  });

  test("an id that was used for another register is refused", async () => {
    const paid = payment();
    await pay(paid);
    register = await newRegister(7);
    const again = payment({ payment_message_external_id: paid.payment_message_external_id });
    expect(await pay(again)).toEqual([409, refused("PAYMENT_ID_USED")]);
  });

  test("an internal register is confirmed by its one institution, and is not paid", async () => {
    const merchant = await platform.newMerchant({ bank: both });
    const guid = await both.pays(await merchant.order({ amount: 5 }));
    await platform.endsAllCallbacks();
    register = await closed(both, guid);
    const internal = `/confirm_internal/${register.id}`;
    expect(await pay(payment(), both)).toEqual([400, refused("REGISTER_INTERNAL")]);
    const first = await ask(both, "POST", internal);
    expect([first.status, first.json]).toEqual([201, created]);
    const again = await ask(both, "POST", internal);
    expect([again.status, again.json]).toEqual([208, created]);
    register = await newRegister(8);
    const other = await ask(platform.initiator, "POST", `/confirm_internal/${register.id}`);
    expect([other.status, other.json]).toEqual([400, refused("REGISTER_NOT_INTERNAL")]);
  });

  test("an empty register is neither paid nor confirmed", async () => {
    const { json } = await ask(stranger, "GET", "?status=Sent%20(no%20PM)");
    const [empty] = json as unknown as Register[];
    register = { ...register, id: empty?.id ?? "" };
    expect(await pay(payment(), stranger)).toEqual([400, refused("REGISTER_EMPTY")]);
    const internal = await ask(stranger, "POST", `/confirm_internal/${register.id}`);
    expect([internal.status, internal.json]).toEqual([400, refused("REGISTER_EMPTY")]);
  });
});

describe("bodies", () => {
  test.each<[string, () => unknown, string]>([
    ["amount as text", () => payment({ amount: "100.05" }), "amount"],
    ["three decimals", () => payment({ amount: 100.055 }), "amount"],
    ["amount above what a total can be", () => payment({ amount: 90_071_992_547_410 }), "amount"],
    ["no amount", () => payment({ amount: undefined }), "amount"],
    ["no id", () => payment({ payment_message_external_id: undefined }), "payment_message_external_id"],
    ["no purpose", () => payment({ purpose: undefined }), "purpose"],
    ["a purpose with half a surrogate pair", () => payment({ purpose: "\ud83d" }), "purpose"],
    ["a jwt that is a number", () => ({ jwt: 5 }), "jwt"],
    ["a jwt that is no token", () => ({ jwt: "x" }), "jwt"],
    ["a malformed creation_date", () => payment({ creation_date: "yesterday" }), "creation_date"],
    ["a creation_date that does not exist", () => payment({ creation_date: "2023-02-30" }), "creation_date"],
    ["a status, which belongs to a confirmation", () => ({ ...payment(), status: "RJCT" }), "status"],
    ["no JSON", () => "{", "the body is not JSON"],
    [
      "what is no UTF-8",
      () => Buffer.from(JSON.stringify(payment({ purpose: "\u00ff" })), "latin1"),
      "the body is not UTF-8",
    ],
    ["nothing", () => "", ""],
    ["a list", () => [], ""],
  ])("%s is one clear 400, changes nothing, and the same call corrected works", async (_what, body, named) => {
    const [status, json] = await pay(body());
    expect([status, json]).toEqual([400, refused("INVALID_REQUEST", expect.stringContaining(named))]);
    if (!named.includes(" ")) expect(String(json.description).split(" ")[0]).toContain(named);
    expect(await statusNow()).toBe("Sent");
    expect(await pay(payment())).toEqual([201, created]);
  });

  test("a plain body whose jwt is null is a plain one", async () => {
    expect(await pay({ ...payment(), jwt: null })).toEqual([201, created]);
  });

  test("a signed body says the same as a plain one, and is the evidence; without one the Cx-Authorization is", async () => {
    const paid = payment();
    const jwt = await signJws({ ...paid, iat: 1, note: "ours" }, platform.initiator.key);
    expect(await pay({ jwt })).toEqual([201, created]);
    expect(await pay(paid)).toEqual([208, created]);
    const headers = await access(platform.initiator.key);
    const url = `${platform.url()}/api/v1/counterparty/${platform.initiator.guid}/gross-settlement/pay/${register.id}/confirm`;
    expect((await post(url, { ...paid, status: "ACSC" }, headers)).status).toBe(201);
    const acts = await platform.rows<{ kind: string; jws: string }>(
      "select kind, jws from register_act where register_id = $1 and kind in ('paid', 'confirmed') order by number",
      register.id,
    );
    expect(acts).toEqual([
      { kind: "paid", jws: jwt },
      { kind: "confirmed", jws: headers["Cx-Authorization"] },
    ]);
  });

  test("a signed body that another bank signed, or nobody, is 401; claims that are wrong are refused by their name", async () => {
    const unauthorized = refused("AUTHORIZATION_FAILED", "Access credentials are invalid");
    const paid = payment();
    const good = await signJws(paid, platform.initiator.key);
    const [header, , signature] = good.split(".");
    const changed = Buffer.from(JSON.stringify({ ...paid, amount: 1 })).toString("base64url");
    for (const jwt of [await signJws(paid, stranger.key), `${header}.${changed}.${signature}`]) {
      expect(await pay({ jwt })).toEqual([401, unauthorized]);
    }
    const wrong = await signJws({ ...paid, amount: "5" }, platform.initiator.key);
    expect(await pay({ jwt: wrong })).toEqual([400, refused("INVALID_REQUEST", "amount must be number")]);
    expect(await pay({ ...paid, jwt: good })).toEqual([400, refused("INVALID_REQUEST")]);
    expect(await statusNow()).toBe("Sent");
    expect(await pay({ jwt: good })).toEqual([201, created]);
  });

  test("the same request with the same Cx-Authorization hears 208; another request with it is a replay", async () => {
    const headers = await access(platform.initiator.key);
    const url = `${platform.url()}/api/v1/counterparty/${platform.initiator.guid}/gross-settlement/pay/${register.id}`;
    const paid = payment();
    expect((await post(url, paid, headers)).status).toBe(201);
    expect((await post(url, paid, headers)).status).toBe(208);
    const replay = await post(`${url}/confirm`, { ...paid, status: "ACSC" }, headers);
    expect([replay.status, await replay.json()]).toEqual([401, refused("TOKEN_REPLAYED")]);
  });
});

describe("listGrossSettlements", () => {
  test("status and updated_from choose, and X-Total-Count says how many there are, whatever the page", async () => {
    const before = new Date().toISOString();
    await pay(payment());
    const list = async (query: string) => {
      const { headers, json } = await ask(platform.recipient, "GET", `?role=All&${query}`);
      const ids = (json as unknown as Register[]).map(({ id }) => id);
      return { ids, total: Number(headers.get("x-total-count")) };
    };
    expect(await list(`updated_from=${before}&status=Processing`)).toEqual({ ids: [register.id], total: 1 });
    expect((await list(`updated_from=${before}&status=Paid`)).total).toBe(0);
    const all = await list("limit=500");
    expect(all.total).toBe(all.ids.length);
    expect(all.total).toBeGreaterThan(1);
    expect(await list("limit=1&offset=1")).toEqual({ ids: all.ids.slice(1, 2), total: all.total });
    for (const wrong of ["status=Lost", "updated_from=soon"]) {
      const { status, json } = await ask(platform.recipient, "GET", `?${wrong}`);
      expect([status, json]).toEqual([
        400,
        refused("INVALID_REQUEST", expect.stringContaining(wrong.split("=")[0] ?? "")),
      ]);
    }
  });
});

describe("getGrossSettlement", () => {
  test("a register of 5 000 payments is the same whole as in pages", async () => {
    const { remove } = await addPayments(platform.rows, register.id, 4_999);
    onTestFinished(remove);
    const whole = await ask(platform.recipient, "GET", `/${register.id}`);
    const { payments, ...head } = whole.json as { payments: { payment_message_guid: string }[] };
    expect(payments).toHaveLength(5_000);
    const paged: typeof payments = [];
    for (let after = ""; ; after = `&payments_after=${paged.at(-1)?.payment_message_guid}`) {
      const { json } = await ask(platform.recipient, "GET", `/${register.id}?payments_limit=1999${after}`);
      const { payments: page, ...pageHead } = json as { payments: typeof payments };
      expect(pageHead).toEqual(head);
      paged.push(...page);
      if (page.length < 1_999) break;
    }
    expect(paged).toEqual(payments);
  });

  test("an unknown register is not found, whole or in pages", async () => {
    for (const query of ["", `?payments_after=${randomUUID()}`]) {
      const { status, json } = await ask(platform.initiator, "GET", `/0101019${query}`);
      expect([status, json]).toEqual([400, refused("REGISTER_NOT_FOUND", "not found")]);
    }
  });
});
