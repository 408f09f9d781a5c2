/** Ukrainian accounts, dates and people that the sandbox makes up. */

const COUNTRY_AS_DIGITS = "3010"; // "UA" with A = 10 … Z = 35, as ISO 7064 counts letters.

/** A Ukrainian IBAN with right check digits: UA, 2 check digits, the bank's 6-digit code, a 19-digit account. */
export function makeIban(bic: string, account: number | bigint): string {
  const basic = bic.padStart(6, "0") + String(account).padStart(19, "0");
  const remainder = BigInt(`${basic}${COUNTRY_AS_DIGITS}00`) % 97n;
  return `UA${String(98n - remainder).padStart(2, "0")}${basic}`;
}

const kyivClock = new Intl.DateTimeFormat("sv-SE", {
  timeZone: "Europe/Kyiv",
  dateStyle: "short",
  timeStyle: "medium",
});

/** The wall clock in Kyiv: banks date their messages by it, and registers collect its days. */
export function kyivTime(now: Date): { date: string; time: string } {
  const [date = "", time = ""] = kyivClock.format(now).split(" ");
  return { date, time };
}

/** Major units from minor ones: 150075 becomes 1500.75. Division is rounded correctly, so the number prints as that decimal. */
export function toMajor(amountMinor: number): number {
  return amountMinor / 100;
}

/** "1500.75" becomes 150075n, without floating point; anything else than a decimal with two digits is undefined. */
export function minorOf(text: unknown): bigint | undefined {
  const match = /^(\d{1,18})(?:\.(\d{1,2}))?$/.exec(String(text));
  return match ? BigInt(match[1] as string) * 100n + BigInt((match[2] ?? "").padEnd(2, "0")) : undefined;
}

export function formatMinor(amountMinor: bigint): string {
  return `${amountMinor / 100n}.${String(amountMinor % 100n).padStart(2, "0")}`;
}

/** Personal data of an invented payer, which the initiator bank encrypts for the recipient bank. */
export const SAMPLE_PAYER = { debtor_name: "Lesia Ukrainka", debtor_id: "1234567890", debtor_phone: "+380661234567" };
