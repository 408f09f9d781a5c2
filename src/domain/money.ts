/**
 * Money inside the platform is an integer number of minor units (kopiykas); at the edge it is a JSON number of major
 * units with at most two decimals. The bridge between them is text, never float arithmetic: 0.29 * 100 is not 29.
 */

import { limits } from "../../gen/rest/limits.ts";

/** 999 999 999.99 in minor units: far below Number.MAX_SAFE_INTEGER, so `number` holds every amount exactly. */
export const MAX_AMOUNT_MINOR = Math.round(limits.amountMax * 100);

const MINOR_DIGITS = 2;

export type AmountProblem = "NOT_A_NUMBER" | "NOT_POSITIVE" | "TOO_MANY_DECIMALS" | "TOO_LARGE";
export type ParsedAmount = { ok: true; amountMinor: number } | { ok: false; problem: AmountProblem };

/** 70 368 744 177 663.99 in minor units: up to 2^46 major units the doubles lie less than a minor one apart. */
export const MAX_TOTAL_MINOR = Math.round(limits.registerTotalMax * 100);

/**
 * Reads a JSON number by its shortest decimal text. JavaScript writes an exponent only below 1e-6 and from 1e21 up:
 * the one is too fine and the other too large for an amount, so both are refused before the digits are looked at.
 */
export function parseAmount(value: unknown, maxMinor = MAX_AMOUNT_MINOR): ParsedAmount {
  if (typeof value !== "number" || !Number.isFinite(value)) return { ok: false, problem: "NOT_A_NUMBER" };
  if (value <= 0) return { ok: false, problem: "NOT_POSITIVE" };
  if (value >= (maxMinor + 1) / 100) return { ok: false, problem: "TOO_LARGE" };
  const digits = /^(\d+)(?:\.(\d+))?$/.exec(String(value));
  const decimals = digits?.[2] ?? "";
  if (!digits || decimals.length > MINOR_DIGITS) return { ok: false, problem: "TOO_MANY_DECIMALS" };
  return { ok: true, amountMinor: Number(`${digits[1]}${decimals.padEnd(MINOR_DIGITS, "0")}`) };
}

/** The text form with two decimals that registers use; sums of many amounts may come as bigint. */
export function formatAmountText(amountMinor: number | bigint): string {
  if (typeof amountMinor === "number" && !Number.isSafeInteger(amountMinor)) {
    throw new RangeError(`an amount in minor units is a safe integer, not ${amountMinor}`);
  }
  const minor = BigInt(amountMinor);
  const [sign, size] = minor < 0n ? ["-", -minor] : ["", minor];
  const digits = size.toString().padStart(MINOR_DIGITS + 1, "0");
  return `${sign}${digits.slice(0, -MINOR_DIGITS)}.${digits.slice(-MINOR_DIGITS)}`;
}

export type CurrencyProblem = "INVALID_CURRENCY" | "UNSUPPORTED_CURRENCY";

/** A code outside ISO 4217 is invalid; a real one that this deployment does not settle is unsupported. */
export function currencyProblem(code: string, supported: readonly string[]): CurrencyProblem | undefined {
  if (!ISO_4217_CODES.has(code)) return "INVALID_CURRENCY";
  return supported.includes(code) ? undefined : "UNSUPPORTED_CURRENCY";
}

/** The alphabetic codes in force under ISO 4217, funds and metals included. */
export const ISO_4217_CODES: ReadonlySet<string> = new Set(
  `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
   CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
   HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
   MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
   RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
   USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA
   XXX YER ZAR ZMW ZWG`.split(/\s+/),
);
