import { readdirSync, readFileSync } from "node:fs";

// Processor time and memory of processes as Linux tells them; on other systems both are 0 and the table says nothing.

/** Linux counts processor time in ticks of 10 ms for every program, whatever the kernel's own clock. */
const TICK_MS = 10;

type Stat = { pid: number; parent: number; ownMs: number; endedChildrenMs: number };

function readStat(pid: number | string): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name stands in parentheses and may contain anything; the numbers follow the last one.
    const fields = text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const [parent = 0, userTicks = 0, systemTicks = 0] = [fields[1], fields[11], fields[12]];
    const endedTicks = (fields[13] ?? 0) + (fields[14] ?? 0);
    return {
      pid: Number(pid),
      parent,
      ownMs: (userTicks + systemTicks) * TICK_MS,
      endedChildrenMs: endedTicks * TICK_MS,
    };
  } catch {
    return undefined;
  }
}

/** Processor milliseconds of a process; with `withChildren`, of its children too (PostgreSQL has one per connection). */
export function cpuMs(pid: number, withChildren = false): number {
  const own = readStat(pid);
  if (own === undefined) return 0;
  if (!withChildren) return own.ownMs;
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(readStat)
    .filter((stat) => stat?.parent === pid);
  return children.reduce((sum, child) => sum + (child?.ownMs ?? 0), own.ownMs + own.endedChildrenMs);
}

/** Resident memory in MiB. */
export function rssMib(pid: number): number {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kib ?? 0) / 1024;
  } catch {
    return 0;
  }
}

export type Metered = { name: string; pid: number; withChildren?: boolean };

/** Starts a measurement; the answered function tells the processor milliseconds that each process has spent since. */
export function meterCpu(processes: readonly Metered[]): () => Record<string, number> {
  const read = () => processes.map(({ pid, withChildren }) => cpuMs(pid, withChildren));
  const before = read();
  return () => {
    const after = read();
    const spent: Record<string, number> = {};
    processes.forEach(({ name }, index) => {
      spent[name] = (spent[name] ?? 0) + (after[index] ?? 0) - (before[index] ?? 0);
    });
    return spent;
  };
}
