import { type Bench, expectAllAccepted, say } from "../bench.ts";
import { printTable } from "../report.ts";
import { slope } from "../statistics.ts";
import { type Metered, rssMib } from "../usage.ts";
import { type StoringSide, untilSettled } from "./cascade.ts";
import { CONNECTIONS } from "./intake.ts";

/** Access tokens are good for five minutes, so requests are signed in portions as the soak goes on. */
const PORTION_SECONDS = 30;
const SAMPLE_MS = 2_000;

/** Memory over a long steady load; answers the slope of the second half in MiB a minute, by process. */
export async function measureSoak(
  bench: Bench,
  side: StoringSide,
  processes: readonly Metered[],
  load: { ratePerSecond: number; minutes: number },
): Promise<Record<string, number>> {
  const samples: { minute: number; mib: number[] }[] = [];
  const startedAt = performance.now();
  const minute = () => (performance.now() - startedAt) / 60_000;
  const sampling = setInterval(() => {
    samples.push({ minute: minute(), mib: processes.map(({ pid }) => rssMib(pid)) });
  }, SAMPLE_MS);
  const count = Math.round(load.ratePerSecond * PORTION_SECONDS);
  try {
    while (minute() < load.minutes) {
      await bench.prepare(count, [side.databaseUrl]);
      const options = { url: side.url, connections: CONNECTIONS, count, ratePerSecond: load.ratePerSecond };
      expectAllAccepted("soak", await bench.send(side.databaseUrl, options), count);
      const memory = processes.map(({ name, pid }) => `${name} ${Math.round(rssMib(pid))} MiB`).join(" · ");
      say(`Soak: ${minute().toFixed(1)} of ${load.minutes} minutes, ${memory}`);
    }
  } finally {
    clearInterval(sampling);
  }
  await untilSettled(side.databaseUrl);
  const later = samples.filter((sample) => sample.minute > load.minutes / 2);
  const slopes = processes.map(({ name }, index): [string, number] => {
    const points = later.map((sample) => ({ x: sample.minute, y: sample.mib[index] ?? 0 }));
    return [name, slope(points)];
  });
  printTable(
    `Soak: ${load.minutes} minutes at ${Math.round(load.ratePerSecond)} payments a second`,
    ["process", "most MiB", "slope of the second half, MiB a minute"],
    slopes.map(([name, perMinute], index) => [
      ...[name, String(Math.round(Math.max(...samples.map(({ mib }) => mib[index] ?? 0)))), perMinute.toFixed(2)],
    ]),
  );
  return Object.fromEntries(slopes);
}
