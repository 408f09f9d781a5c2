import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { WrongCall } from "../commandLine.ts";
import type { Call } from "./action.ts";
import { DURATION_HELP, TIME_HELP } from "./commands/options.ts";

// Reading option values; error messages name the option.

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Undefined for a text that is no duration. */
function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * unitMs[unit as keyof typeof unitMs];
}

/** An instant from an instant, a day, or a duration before now. */
export function instantOf(call: Call, option: string): Timestamp | undefined {
  const text = call.text(option);
  if (text === undefined) return undefined;
  const ago = durationMs(text);
  const date =
    ago === undefined
      ? new Date(/^\d{4}-\d\d-\d\d([T ].+)?$/.test(text) ? text : Number.NaN)
      : new Date(call.now.getTime() - ago);
  if (Number.isNaN(date.getTime())) throw new WrongCall(`--${option} ${text} is not a time: give ${TIME_HELP}`);
  return timestampFromDate(date);
}

/** A duration in seconds; undefined if the option was not given. */
export function secondsOf(call: Call, option: string): number | undefined {
  const text = call.text(option);
  if (text === undefined) return undefined;
  const seconds = (durationMs(/^\d+$/.test(text) ? `${text}s` : text) ?? 0) / 1_000;
  if (seconds >= 1 && seconds < 2 ** 31) return seconds;
  throw new WrongCall(
    `--${option} ${text} is not a time of at least a second: give seconds, or a time like 90m, 24h, 7d`,
  );
}

/**
 * The instant that is this long after now. `0s` becomes an instant of long ago, so that it means "at once" even if this machine's
 * clock is ahead of the database's.
 */
export function instantAfter(call: Call, option: string): Timestamp | undefined {
  const text = call.text(option);
  if (text === undefined) return undefined;
  const ms = durationMs(text);
  if (ms === undefined) throw new WrongCall(`--${option} ${text} is not ${DURATION_HELP}`);
  return timestampFromDate(new Date(ms === 0 ? 0 : call.now.getTime() + ms));
}

/** A number that the core has issued (a version, or the id of a key); 0, which stands for any, if the option was not given. */
export function numberOf(call: Call, option: string): bigint {
  const text = call.text(option) ?? "0";
  if (!/^\d{1,15}$/.test(text)) throw new WrongCall(`--${option} ${text} is not a whole number`);
  return BigInt(text);
}

/** The wire values of names; the table of commands and the wire list the same names of the domain. */
export const namedOf = <Value extends number>(
  call: Call,
  option: string,
  table: Readonly<Record<string, Value>>,
): Value[] => call.texts(option).flatMap((name) => table[name] ?? []);

/** Undefined if the option was not given. */
export function yesOrNo(call: Call, option: string): boolean | undefined {
  const answer = call.text(option);
  return answer === undefined ? undefined : answer === "yes";
}

const guidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Refused here, because the core's list for a malformed guid would only be empty. */
export function guidIn(text: string, name: string): string {
  if (!guidForm.test(text))
    throw new WrongCall(`${name} ${text} is not a guid like 3aa202bc-6b20-445d-8969-8274b11c66d0`);
  return text.toLowerCase();
}
