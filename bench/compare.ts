import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, symlinkSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Bench, openBench, say } from "./bench.ts";
import { usualCast } from "./cast.ts";
import { measureBurst } from "./measure/burst.ts";
import { measureCascade } from "./measure/cascade.ts";
import { checkResults } from "./measure/check.ts";
import { measureIntake } from "./measure/intake.ts";
import { ratios } from "./measure/rounds.ts";
import { positive } from "./options.ts";
import { cpuText, printTable, rounded } from "./report.ts";
import { meanRatio } from "./statistics.ts";

// Measures this program against another commit of it, in turn, and says what has become slower.

const HELP = `Use: npm run bench:compare -- REF [OPTIONS]

REF is a commit, branch or tag to compare with. Both run with the embedded queue; the load is that of the working folder, so REF
must understand its participants and its database.

  --only PART,…   only these parts: intake, cascade, burst
  --rounds N      measured rounds of each side, at least 3 (8)
  --seconds N     the least length of a round (5)

Exit code 1: something is slower by more than 5 %, with 90 % confidence.`;

const root = join(import.meta.dirname, "..");
const parts = ["intake", "cascade", "burst"] as const;
type Part = (typeof parts)[number];

/** A ratio below this is a loss. */
const tolerated = 0.95;
const NOW = "now";

type Options = { ref: string; rounds: number; leastSeconds: number; wants(part: Part): boolean };

function parse(args: string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean" },
      only: { type: "string", default: parts.join(",") },
      rounds: { type: "string", default: "8" },
      seconds: { type: "string", default: "5" },
    },
  });
  const [ref] = positionals;
  if (values.help || ref === undefined) return undefined;
  const chosen = values.only.split(",");
  const unknown = chosen.filter((part) => !(parts as readonly string[]).includes(part));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(",")} is not one of ${parts.join(", ")}`);
  const rounds = Math.max(3, positive("--rounds", values.rounds));
  return { ref, rounds, leastSeconds: positive("--seconds", values.seconds), wants: (part) => chosen.includes(part) };
}

/** A copy of the commit, with the packages of this one where it wants the same. */
async function checkOut(ref: string): Promise<{ folder: string; remove(): void }> {
  const folder = await mkdtemp(join(tmpdir(), "dcm-compare-"));
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  git("worktree", "add", "--detach", "--force", folder, ref);
  const wants = (of: string) => readFileSync(join(of, "package-lock.json"), "utf8");
  if (wants(folder) === wants(root)) symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  else execFileSync("npm", ["ci"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  return {
    folder,
    remove() {
      rmSync(folder, { recursive: true, force: true });
      git("worktree", "prune");
    },
  };
}

async function startSides(bench: Bench, ref: string, folder: string) {
  const start = async (name: string, label: string, template: string, of: string) => {
    const databaseUrl = await bench.services.createDatabase(name, template);
    const gateway = await bench.startGateway({ databaseUrl, root: of });
    const processes = [{ name: "gateway", pid: gateway.pid }];
    return { name: label, url: gateway.restUrl, databaseUrl, processes, gateway };
  };
  const old = await bench.makeTemplate("bench_ref_template", { root: folder });
  return [await start("bench_now", NOW, bench.template, root), await start("bench_ref", ref, old, folder)] as const;
}

async function main(args: string[]): Promise<number> {
  const options = parse(args);
  if (options === undefined) {
    console.log(HELP);
    return args.includes("--help") ? 0 : 2;
  }
  const { ref, rounds, leastSeconds, wants } = options;
  await using cleanUp = new AsyncDisposableStack();
  const copy = await checkOut(ref);
  cleanUp.defer(copy.remove);
  const bench = await openBench(usualCast);
  cleanUp.defer(bench.stop);
  const sides = await startSides(bench, ref, copy.folder);
  const found: [string, number[]][] = [];
  const note = (what: string, rates: Record<string, number[]>) => found.push([what, ratios(rates, NOW, ref)]);
  if (wants("intake")) {
    const intake = await measureIntake(bench, sides, { rounds, count: 2_000, warmUp: 4_000, leastSeconds });
    note("intake", intake.rates);
    printSpent("Intake", intake.cpuMs);
  }
  if (wants("cascade")) {
    const cascade = await measureCascade(bench, sides, { rounds, count: 500, warmUp: 1_500, leastSeconds });
    note("cascade", cascade.rates);
    printSpent("Cascade", cascade.cpuMs);
  }
  if (wants("burst")) {
    for (const one of await measureBurst(bench, sides, { rounds, payments: 1_000, delaysMs: [5, 200] })) {
      note(`burst, ${one.delayMs} ms, last callback`, one.rates);
      note(`burst, ${one.delayMs} ms, last success`, one.successRates);
    }
  }
  const problems: string[] = [];
  for (const side of sides) problems.push(...(await checkResults(bench, side.databaseUrl, side.gateway)));
  for (const problem of problems) say(`FAILED: ${problem}`);
  const slower = report(ref, found);
  return slower || problems.length > 0 ? 1 : 0;
}

const printSpent = (title: string, cpuMs: Record<string, Record<string, number>>) =>
  printTable(
    `${title}: processor milliseconds a payment`,
    ["side", ""],
    Object.entries(cpuMs).map(([name, spent]) => [name, cpuText(spent)]),
  );

/** Prints what was found; answers whether anything has become slower. */
function report(ref: string, found: readonly [string, number[]][]): boolean {
  const judged = found.map(([what, all]) => ({ what, all, ...meanRatio(all) }));
  const verdict = ({ low, high }: (typeof judged)[number]) =>
    high < tolerated ? "slower" : low > 1 ? "faster" : "no loss shown";
  printTable(
    `Now ÷ ${ref}`,
    ["", "mean", "90 % confidence", "worst", "rounds", ""],
    judged.map((one) => [
      one.what,
      rounded(one.mean).toFixed(2),
      `${rounded(one.low).toFixed(2)} to ${rounded(one.high).toFixed(2)}`,
      rounded(Math.min(...one.all)).toFixed(2),
      one.all.map((value) => value.toFixed(2)).join(" "),
      verdict(one),
    ]),
  );
  return judged.some((one) => verdict(one) === "slower");
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(`The comparison failed: ${(error as Error).stack}`);
  process.exitCode = 1;
}
