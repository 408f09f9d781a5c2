import { parseArgs } from "node:util";

export const parts = ["intake", "overload", "cascade", "burst", "flatness", "roles", "pages", "soak"] as const;
export type Part = (typeof parts)[number];

export type Options = {
  isQuick: boolean;
  json: boolean;
  parts: ReadonlySet<Part>;
  /** Earlier payment messages for the flatness measurement. */
  rows: number;
  soakMinutes: number;
  rounds: number;
};

export const HELP = `Use: npm run bench [-- OPTIONS]

  --quick            short rounds, without flatness, roles apart and soak: about five minutes
  --json             one last line with the ratios as JSON
  --only PART,…      only these parts: ${parts.join(", ")}
  --rows N           earlier payment messages for flatness (5000000)
  --soak-minutes N   length of the memory soak (10)
  --rounds N         measured rounds of each side, at least 3 (quick 3, otherwise 8)

AMQP_URL names a RabbitMQ to use instead of a private one. BENCH_GATEWAY_FLAGS are flags for the gateway's Node, for
example "--cpu-prof --cpu-prof-dir=/tmp/profiles".`;

const quickParts: readonly Part[] = ["intake", "overload", "cascade", "burst"];

export function parseOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: "boolean" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      only: { type: "string" },
      rows: { type: "string", default: "5000000" },
      "soak-minutes": { type: "string", default: "10" },
      rounds: { type: "string" },
    },
  });
  if (values.help) return undefined;
  const chosen = values.only?.split(",") ?? (values.quick ? quickParts : parts);
  const unknown = chosen.filter((part) => !(parts as readonly string[]).includes(part));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(",")} is not one of ${parts.join(", ")}`);
  return {
    isQuick: values.quick,
    json: values.json,
    parts: new Set(chosen as Part[]),
    rows: positive("--rows", values.rows),
    soakMinutes: positive("--soak-minutes", values["soak-minutes"]),
    rounds: Math.max(3, positive("--rounds", values.rounds ?? (values.quick ? "3" : "8"))),
  };
}

export function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} ${text} is not a number above 0`);
  return value;
}
