import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { PaymentType } from "../../gen/dcm/v1/payment_message_pb.ts";
import {
  RegisterActKind,
  type RegisterPaymentSchema,
  type RegisterSchema,
  RegisterStatus,
} from "../../gen/dcm/v1/settlement_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { openConsole } from "./console.ts";

type Init<Schema extends DescMessage> = Exclude<MessageInitShape<Schema>, MessageShape<Schema>>;
type Register = Init<typeof RegisterSchema>;
type Payment = Init<typeof RegisterPaymentSchema>;

const at = (text: string) => timestampFromDate(new Date(text));
const guidOf = (number: number) => `0198c0de-0000-7000-8000-${String(number).padStart(12, "0")}`;
const dnipro = { guid: guidOf(1), name: 'Dnipro "D", Bank', bic: "305299" };
const kobzar = { guid: guidOf(2), name: "+Kobzar", bic: "322313" };
const chargingAccount = "UA213223130000026007233566001";

const register = (changes: Register = {}): Register => ({
  id: "0102261",
  day: "2026-02-01",
  debtorAgent: dnipro,
  creditorAgent: kobzar,
  creditorCode: "12345678",
  chargingAccount,
  purpose: "Gross settlement register 0102261",
  // One day in Kyiv, which is two dates in UTC.
  periodStart: at("2026-01-31T22:00:00Z"),
  periodEnd: at("2026-02-01T22:00:00Z"),
  totalAmount: { amountMinor: 210_000_000_000n, currency: "UAH" },
  totalFeeMinor: 1_05n,
  status: RegisterStatus.SENT,
  createdAt: at("2026-02-01T22:01:00Z"),
  updatedAt: at("2026-02-01T22:01:00Z"),
  ...changes,
});

const payment = (number: number, changes: Payment = {}): Payment => ({
  paymentMessageGuid: guidOf(number),
  feeMinor: 0n,
  externalId: `E-${number}`,
  pmType: PaymentType.TRADE,
  amount: { amountMinor: 21_00n, currency: "UAH" },
  purpose: "Books",
  debtorAccount: "UA903052992990004149123456789",
  creditorAccount: "UA213996220000026007233566001",
  receivedAt: at("2026-02-01T10:00:00.123Z"),
  ...changes,
});

type Settlements = Partial<ServiceImpl<typeof SettlementService>>;

function consoleOf(settlements: Settlements) {
  const transport = createRouterTransport(({ service }) => void service(SettlementService, settlements));
  return openConsole(createClients(transport));
}

/** A core with one register, whose payments it gives in pages of so many. */
function coreWith(one: Register, payments: readonly Payment[] = [], pageSize = 2): Settlements {
  const known = { paymentCount: payments.length, ...one };
  return {
    listRegisterActs: () => ({ register: known }),
    getRegister({ registerId, pageToken }) {
      if (registerId !== one.id) throw new ConnectError("no such register", Code.NotFound);
      const from = payments.findIndex(({ paymentMessageGuid }) => paymentMessageGuid === pageToken) + 1;
      const page = payments.slice(from, from + pageSize);
      const hasMore = from + page.length < payments.length;
      return { payments: [...page], nextPageToken: (hasMore && page.at(-1)?.paymentMessageGuid) || "" };
    },
  };
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dcm-registers-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

const registerNames =
  '"Register ID","Debtor agent name","Debtor agent BIC","Creditor agent name","Creditor agent BIC","Creditor agent code",' +
  '"Creditor agent account","Purpose","Start date","End date","Amount Payment Message","Currency","Total amount to pay"';
const paymentNames =
  '"Payment message external ID","Payment message GUID","Created at","Amount","Issuer fee","Fee amount","Amount to pay",' +
  '"Currency","Purpose","PM type","Debtor account","Creditor account"';

describe("registers export", () => {
  test("each part under the names of the documents; nothing in a text breaks a record or is run as a formula", async () => {
    const purposes = [
      'Books, "new", two\r\nlines; \\n\u2028',
      '=HYPERLINK("http://evil.example","pay")',
      "@SUM(1)",
      "1-2",
    ];
    const payments = purposes.map((purpose, index) => payment(index + 10, { purpose }));
    payments.push(payment(20, { externalId: "-1", feeMinor: 1_05n, pmType: PaymentType.P2P, purpose: "＝1" }));
    const console = consoleOf(coreWith(register(), payments));
    const { code, written, lines } = await console.run("registers", "export", "0102261", "--stdout");
    expect([code, lines]).toEqual([0, []]);
    const line = (number: number, purpose: string) =>
      `"E-${number}","${guidOf(number)}","2026-02-01T10:00:00.123Z","21.00","0.00","0.00","21.00","UAH","${purpose}",` +
      '"trade","UA903052992990004149123456789","UA213996220000026007233566001"';
    expect(written).toBe(
      [
        registerNames,
        `"0102261","Dnipro ""D"", Bank","305299","'+Kobzar","322313","12345678","${chargingAccount}",` +
          '"Gross settlement register 0102261","2026-02-01","2026-02-01","2100000000.00","UAH","2099999998.95"',
        paymentNames,
        line(10, 'Books, ""new"", two\r\nlines; \\n\u2028'),
        line(11, `'=HYPERLINK(""http://evil.example"",""pay"")`),
        line(12, "'@SUM(1)"),
        line(13, "1-2"),
        `"'-1","${guidOf(20)}","2026-02-01T10:00:00.123Z","21.00","0.00","1.05","19.95","UAH","'＝1","p2p",` +
          '"UA903052992990004149123456789","UA213996220000026007233566001"',
        "",
      ].join("\r\n"),
    );
  });

  const { creditorAgent: _, ...withoutCreditor } = register();
  test.each<[string, Register, string]>([
    ["between two banks", register(), "I_0102261_2026-02-01.csv"],
    ["inside one institution", register({ creditorAgent: dnipro }), "O_0102261_2026-02-01.csv"],
    ["without payments", withoutCreditor, "I_0102261_2026-02-01.csv"],
    ["that adjusts a day", register({ adjustsDay: "2026-01-15" }), "I_0102261_2026-02-01.csv"],
  ])("a register %s has its file name", async (_, one, name) => {
    const folder = await newFolder();
    const console = consoleOf(coreWith(one));
    const file = join(folder, name);
    expect(await console.json("registers", "export", "0102261", "--dir", folder)).toEqual({ file, payments: 0 });
    expect(await readdir(folder)).toEqual([name]);
    const [, values, names, ...payments] = (await readFile(file, "utf8")).split("\r\n");
    expect([names, payments]).toEqual([paymentNames, [""]]);
    const day = one.adjustsDay ?? "2026-02-01";
    expect(values).toContain(`"${day}","${day}"`);
  });

  test("what is there stays as it is: the register's file, and one that is being written", async () => {
    const folder = await newFolder();
    const console = consoleOf(coreWith(register(), [payment(10)]));
    const run = () => console.run("registers", "export", "0102261", "--dir", folder);
    const file = join(folder, "I_0102261_2026-02-01.csv");
    await writeFile(file, "mine");
    expect(await run()).toMatchObject({
      code: 1,
      complaints: [`${file} exists and stays as it is; move it away, or give another --dir`],
    });
    await rm(file);
    await writeFile(`${file}.part`, "another's");
    expect(await run()).toMatchObject({ code: 1, complaints: [expect.stringContaining("remove it if none runs")] });
    expect(await readdir(folder)).toEqual(["I_0102261_2026-02-01.csv.part"]);
    expect(await readFile(`${file}.part`, "utf8")).toBe("another's");
  });

  test("a folder that is not there is named", async () => {
    const console = consoleOf(coreWith(register()));
    const { code, complaints } = await console.run("registers", "export", "0102261", "--dir", "/no/such/folder");
    expect([code, complaints]).toEqual([
      1,
      [expect.stringMatching(/^the file cannot be written: ENOENT.*\/no\/such\//)],
    ]);
  });

  test("a register that cannot be read to its end, or lacks a payment, leaves no file", async () => {
    const folder = await newFolder();
    const whole = coreWith(register(), [payment(10), payment(11), payment(12)]);
    let pages = 0;
    const broken: Settlements = {
      ...whole,
      getRegister(request, context) {
        pages += 1;
        if (pages > 1) throw new ConnectError("the core went away", Code.Unavailable);
        return whole.getRegister?.(request, context) ?? {};
      },
    };
    const cut = await consoleOf(broken).run("registers", "export", "0102261", "--dir", folder);
    expect([cut.code, cut.complaints[0]]).toEqual([1, "the core went away"]);
    const short = consoleOf(coreWith(register({ paymentCount: 3 }), [payment(10)]));
    const lacking = await short.run("registers", "export", "0102261", "--dir", folder);
    expect([lacking.code, lacking.complaints]).toEqual([
      1,
      [expect.stringContaining("has 3 payments, but 1 were found")],
    ]);
    expect(await readdir(folder)).toEqual([]);
  });

  test("pages are read as fast as the destination takes them, and not faster", async () => {
    const pageSize = 500;
    const payments = Array.from({ length: 20 * pageSize }, (_, index) => payment(index + 10));
    const core = coreWith(register(), payments, pageSize);
    let asked = 0;
    const counting: Settlements = {
      ...core,
      getRegister(request, context) {
        asked += 1;
        return core.getRegister?.(request, context) ?? {};
      },
    };
    let records = 0;
    let mostAhead = 0;
    const slow = new Writable({
      write(chunk, _, done) {
        records += String(chunk).split("\r\n").length - 1;
        mostAhead = Math.max(mostAhead, asked - Math.floor(records / pageSize));
        setImmediate(done);
      },
    });
    const transport = createRouterTransport(({ service }) => void service(SettlementService, counting));
    const console = openConsole(createClients(transport), { output: slow });
    const { code } = await console.run("registers", "export", "0102261", "--stdout");
    expect([code, asked, records]).toEqual([0, 20, payments.length + 3]);
    // The page that is being written, the next one, and what the streams between hold: of 20 without back-pressure.
    expect(mostAhead).toBeLessThanOrEqual(4);
  });
});

describe("registers show, list and reopen", () => {
  const acts = [
    { number: 7n, kind: RegisterActKind.MADE, actor: "platform", at: at("2026-02-01T22:01:00Z") },
    {
      number: 9n,
      kind: RegisterActKind.REJECTED,
      actor: dnipro.guid,
      at: at("2026-02-02T08:00:00Z"),
      payment: { externalId: "P-1", creditorIban: chargingAccount, amount: { amountMinor: 21_00n, currency: "UAH" } },
      paymentStatus: "RJCT",
      jws: "what.was.signed",
    },
    {
      number: 12n,
      kind: RegisterActKind.REOPENED,
      actor: "Olena",
      at: at("2026-02-03T08:00:00Z"),
      note: "it came back",
    },
  ];

  test("show: the register and its acts for people, what was signed for programs", async () => {
    const one = register({ adjustsDay: "2026-01-15", paymentCount: 3 });
    const console = consoleOf({ listRegisterActs: () => ({ register: one, acts }) });
    const { code, lines } = await console.run("registers", "show", "0102261");
    expect(code).toBe(0);
    for (const line of [
      /^adjusts day +2026-01-15$/,
      /^charging account +UA213223130000026007233566001$/,
      /^purpose +Gross settlement register 0102261$/,
      /^payments +3$/,
      /^fee +1\.05$/,
      /^to pay +2099999998\.95$/,
      /^7 +2026-02-01T22:01:00.000Z +made +platform/,
      /^9 +2026-02-02T08:00:00.000Z +rejected +0198c0de-\S+ +P-1 +21\.00 UAH +RJCT/,
      /^12 .* reopened +Olena .* it came back$/,
    ]) {
      expect(lines).toContainEqual(expect.stringMatching(line));
    }
    expect(lines.join("\n")).not.toContain("what.was.signed");
    const printed = await console.json("registers", "show", "0102261");
    expect(printed).toMatchObject({ register: { id: "0102261" }, acts: [{}, { jws: "what.was.signed" }, {}] });
  });

  test("show --payments: every page", async () => {
    const console = consoleOf(coreWith(register(), [payment(10), payment(11), payment(12)]));
    const { written } = await console.run("registers", "show", "0102261", "--payments");
    expect(written.split("\n").filter((line) => / E-1[012] +21\.00 UAH /.test(line))).toHaveLength(3);
  });

  test("list: the bank, the statuses and the instant go to the core; how many match in all is said", async () => {
    const asked: { bankGuid: string; statuses: RegisterStatus[]; updated: string | undefined }[] = [];
    const console = consoleOf({
      listRegisters({ bankGuid, statuses, updatedFrom }) {
        asked.push({ bankGuid, statuses, updated: updatedFrom && timestampDate(updatedFrom).toISOString() });
        return { registers: [register()], totalCount: 120n };
      },
    });
    const filter = ["--status", "paid", "--status", "processing,sent", "--updated-since", "2026-02-01"];
    const { lines } = await console.run("registers", "list", dnipro.guid, ...filter);
    expect(lines.at(-1)).toBe("120 registers in all; the newest 1 are shown.");
    await console.run("registers", "list", dnipro.guid);
    const { PAID, PROCESSING, SENT } = RegisterStatus;
    expect(asked).toEqual([
      { bankGuid: dnipro.guid, statuses: [PAID, PROCESSING, SENT], updated: "2026-02-01T00:00:00.000Z" },
      { bankGuid: dnipro.guid, statuses: [], updated: undefined },
    ]);
  });

  test("reopen: why goes to the core, which knows who; where the register stands now is said", async () => {
    const console = consoleOf({
      reopenRegister: ({ registerId, note }) => {
        expect([registerId, note]).toEqual(["0102261", "it came back"]);
        return { register: register() };
      },
    });
    expect(await console.run("registers", "reopen", "0102261", "--note", "it came back")).toMatchObject({
      code: 0,
      lines: ["The register is sent again."],
    });
  });
});

describe("reconcile", () => {
  const discrepancies = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ problem: "payment in no register", id: guidOf(index) }));

  test.each<[count: number, code: number, lines: unknown[]]>([
    [0, 0, ["Registers, payments and acts of the last 7 days add up."]],
    [1, 1, [expect.stringMatching(/^REGISTER OR PAYMENT +PROBLEM$/), `${guidOf(0)}  payment in no register`]],
  ])("%i discrepancies end with %i", async (count, code, lines) => {
    const asked: number[] = [];
    const console = consoleOf({
      reconcileRegisters({ lastDays }) {
        asked.push(lastDays);
        return { discrepancies: discrepancies(count) };
      },
    });
    expect(await console.run("reconcile")).toMatchObject({ code, lines });
    const asJson = await console.run("reconcile", "--days", "30", "--json");
    expect([asJson.code, JSON.parse(asJson.lines[0] ?? "")]).toEqual([code, { discrepancies: discrepancies(count) }]);
    expect(asked).toEqual([7, 30]);
  });

  test("as many as the core names at most may not be all", async () => {
    const console = consoleOf({ reconcileRegisters: () => ({ discrepancies: discrepancies(100) }) });
    expect((await console.run("reconcile")).lines.at(-1)).toBe("There may be more: at most 100 are told.");
  });
});
