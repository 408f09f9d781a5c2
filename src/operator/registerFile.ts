import { createWriteStream } from "node:fs";
import { access, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { format } from "@fast-csv/format";
import type { Register, RegisterPayment } from "../../gen/dcm/v1/settlement_pb.ts";
import { formatAmountText } from "../domain/money.ts";
import { nameOf, paymentTypes } from "../wire/enums.ts";
import { NotDone } from "./action.ts";
import { counted, when } from "./table.ts";

// A register as a file (wire-contract section 7): RFC 4180, every field quoted, each part under the names that the
// documents give its columns.

const amountText = (amountMinor: bigint | undefined) => formatAmountText(amountMinor ?? 0n);

/**
 * A stranger's text as a CSV field. One that a spreadsheet would run as a formula (CSV injection) gets an apostrophe in front;
 * full-width characters count as well, because East Asian spreadsheets accept them.
 */
const freeText = (text: string | undefined = "") => (/^[=+\-@\t\r\n＝＋－＠]/u.test(text) ? `'${text}` : text);

type Columns<Row> = Readonly<Record<string, (row: Row) => string>>;

const registerColumns: Columns<Register> = {
  "Register ID": ({ id }) => id,
  "Debtor agent name": ({ debtorAgent }) => freeText(debtorAgent?.name),
  "Debtor agent BIC": ({ debtorAgent }) => debtorAgent?.bic ?? "",
  "Creditor agent name": ({ creditorAgent }) => freeText(creditorAgent?.name),
  "Creditor agent BIC": ({ creditorAgent }) => creditorAgent?.bic ?? "",
  "Creditor agent code": ({ creditorCode }) => freeText(creditorCode),
  "Creditor agent account": ({ chargingAccount }) => chargingAccount,
  Purpose: ({ purpose }) => freeText(purpose),
  // The period is one calendar day in Kyiv; as instants it would show another date in UTC, and an end on the next day.
  "Start date": periodDay,
  "End date": periodDay,
  "Amount Payment Message": ({ totalAmount }) => amountText(totalAmount?.amountMinor),
  Currency: ({ totalAmount }) => totalAmount?.currency ?? "",
  "Total amount to pay": ({ totalAmount, totalFeeMinor }) =>
    amountText((totalAmount?.amountMinor ?? 0n) - totalFeeMinor),
};

const paymentColumns: Columns<RegisterPayment> = {
  "Payment message external ID": ({ externalId }) => freeText(externalId),
  "Payment message GUID": ({ paymentMessageGuid }) => paymentMessageGuid,
  "Created at": ({ receivedAt }) => when(receivedAt),
  Amount: ({ amount }) => amountText(amount?.amountMinor),
  // Only the recipient bank is charged fees; the issuing bank pays none.
  "Issuer fee": () => amountText(0n),
  "Fee amount": ({ feeMinor }) => amountText(feeMinor),
  "Amount to pay": ({ amount, feeMinor }) => amountText((amount?.amountMinor ?? 0n) - feeMinor),
  Currency: ({ amount }) => amount?.currency ?? "",
  Purpose: ({ purpose }) => freeText(purpose),
  "PM type": ({ pmType }) => nameOf(paymentTypes, pmType) ?? "unknown",
  "Debtor account": ({ debtorAccount }) => debtorAccount,
  "Creditor account": ({ creditorAccount }) => creditorAccount,
};

function periodDay({ day, adjustsDay }: Register): string {
  return adjustsDay || day;
}

/** `O` for an internal register (both banks are one institution), else `I`, also for an empty one; then id and day. */
function registerFileName({ id, day, debtorAgent, creditorAgent }: Register): string {
  const isOneInstitution = creditorAgent !== undefined && creditorAgent.guid === debtorAgent?.guid;
  return `${isOneInstitution ? "O" : "I"}_${id}_${day}.csv`;
}

export type PaymentPages = AsyncIterable<readonly RegisterPayment[]>;

async function* recordsOf(register: Register, pages: PaymentPages): AsyncGenerator<string[]> {
  yield Object.keys(registerColumns);
  yield Object.values(registerColumns).map((of) => of(register));
  yield Object.keys(paymentColumns);
  let written = 0;
  for await (const payments of pages) {
    written += payments.length;
    for (const payment of payments) yield Object.values(paymentColumns).map((of) => of(payment));
  }
  // An incomplete file must not be taken for the register.
  if (written === register.paymentCount) return;
  const expected = counted(register.paymentCount, "payment");
  throw new NotDone(`register ${register.id} has ${expected}, but ${written} were found; \`reconcile\` tells more`);
}

/** The register as CSV, generated while its pages are read and the reader takes it (back-pressure). */
export function registerCsv(register: Register, pages: PaymentPages): Readable {
  const csv = format({ quoteColumns: true, rowDelimiter: "\r\n", includeEndRowDelimiter: true });
  return Readable.from(recordsOf(register, pages)).compose(csv);
}

/**
 * Writes the register to a new file and answers its path. The file gets its name only when it is complete, so an interrupted one is
 * never taken for the register. An existing file is not overwritten.
 */
export async function writeRegisterFile(register: Register, pages: PaymentPages, folder: string): Promise<string> {
  const path = join(folder, registerFileName(register));
  const unfinished = `${path}.part`;
  await expectNone(path);
  // `wx` lets one command at a time make this file, so no other one gives the finished file its name either.
  const output = createWriteStream(unfinished, { flags: "wx" });
  let isMine = false;
  output.once("open", () => {
    isMine = true;
  });
  try {
    await pipeline(registerCsv(register, pages), output);
    await expectNone(path);
    await rename(unfinished, path);
  } catch (error) {
    if (isMine) await rm(unfinished, { force: true });
    throw fileProblem(error, unfinished);
  }
  return path;
}

async function expectNone(path: string): Promise<void> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw new NotDone(`${path} exists and stays as it is; move it away, or give another --dir`);
}

/** File system errors as sentences; other errors unchanged. */
function fileProblem(error: unknown, unfinished: string): unknown {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === "EEXIST") {
    return new NotDone(`${unfinished} exists: an export writes it, or one was ended; remove it if none runs`);
  }
  if (code === undefined || syscall === undefined) return error;
  return new NotDone(`the file cannot be written: ${message}`);
}
