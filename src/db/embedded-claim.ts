import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { leftoverStopper, serversOn } from "./embedded-leftover.ts";
import { tryLock } from "./embedded-lock.ts";
import {
  type FoundOwner,
  isAlive,
  type Owner,
  ownerText,
  type Relation,
  readOwner,
  refusal,
  relationOf,
  thisProcess,
  verdicts,
} from "./embedded-owner.ts";

// One data folder belongs to one gateway. The file `owner` is written in place and never removed or renamed, because the kernel's
// lock is on the file and not on its name. An empty file means that the folder is free.

export type Claim = {
  /** The locked file, which every PostgreSQL process inherits: the folder stays locked until the last of them has ended. */
  descriptor: number;
  /** Aborted, with a sentence as the reason, when another machine took the folder over. PostgreSQL must then be killed at once. */
  lost: AbortSignal;
  /** Gives the folder back; to be called after PostgreSQL has ended. */
  release(): Promise<void>;
};

/** The clocks of two machines are never compared: our own clock alone measures whether another's heartbeat goes on. */
export const claimTimes = {
  beatMs: 3_000,
  /** How long another machine's file must stay unchanged before it counts as dead: five missed heartbeats. */
  watchMs: 15_000,
  /** Two machines may both find a third one dead and claim its folder; after this wait the one that wrote last keeps it. */
  confirmMs: 1_000,
  /** How long a lock may take to come free: 10 s for the polite stop, 5 s until PostgreSQL kills its own processes, and some. */
  patienceMs: 20_000,
  /** When PostgreSQL processes that a dead owner left are killed instead of asked to stop. */
  quitAfterMs: 10_000,
  pollMs: 250,
};
export type ClaimTimes = typeof claimTimes;

export async function claimFolder(home: string, log: (line: string) => void, times: ClaimTimes): Promise<Claim> {
  const file = join(home, "owner");
  const me = await thisProcess();
  const lock = await lockWhenFree(home, file, me, log, times);
  try {
    await write(lock.handle, ownerText(me));
    if (lock.wasWatched) {
      await sleep(times.confirmMs);
      const { owner } = await observe(file);
      if (!isSame(owner, me)) throw refusal(home, relationOf(owner, me, false), owner);
    }
  } catch (error) {
    await lock.handle.close();
    throw error;
  }
  return startHeartbeat(home, file, lock.handle, me, log, times);
}

type Lock = { handle: FileHandle; wasWatched: boolean };

async function lockWhenFree(
  home: string,
  file: string,
  me: Owner,
  log: (line: string) => void,
  times: ClaimTimes,
): Promise<Lock> {
  const endLeftover = leftoverStopper(join(home, "cluster"), log, times.quitAfterMs);
  const startedAtMs = performance.now();
  let handle: FileHandle | undefined;
  let seen = await observe(file);
  let restsSinceMs = startedAtMs;
  try {
    for (;;) {
      const hadLock = handle !== undefined;
      handle ??= await tryLock(file);
      const now = await observe(file);
      const hasChanged = now.state !== seen.state;
      if (hasChanged) restsSinceMs = performance.now();
      seen = now;
      const { owner } = now;
      const relation = relationOf(owner, me, await isAlive(owner));
      const verdict = verdicts[relation][handle ? "locked" : "unlocked"];
      if (handle && verdict === "take") return { handle, wasWatched: false };
      if (handle && performance.now() - restsSinceMs >= times.watchMs) {
        log(`Taking the data folder ${home} over: its owner ${nameOf(owner)} gave no sign for ${times.watchMs} ms`);
        return { handle, wasWatched: true };
      }
      if (verdict === "refuse" || (hadLock && hasChanged)) throw refusal(home, relation, owner);
      if (!handle && performance.now() - startedAtMs > times.patienceMs) throw await stillHeld(home, relation, owner);
      if (verdict === "end leftover") await endLeftover(async () => (await observe(file)).text === now.text);
      await sleep(times.pollMs);
    }
  } catch (error) {
    await handle?.close();
    throw error;
  }
}

async function stillHeld(home: string, relation: Relation, owner: FoundOwner): Promise<Error> {
  const left = relation === "dead here" ? await serversOn(join(home, "cluster")) : [];
  if (left.length === 0) return refusal(home, relation, owner);
  return new Error(
    `PostgreSQL (processes ${left.map(({ pid }) => pid).join(", ")}), which an interrupted run left on the data folder ` +
      `${home}, does not stop; end it (kill -KILL) and start again, or choose another folder (DATA_DIR).`,
  );
}

/** Writes the heartbeat that shows other machines that we are alive, and notices when one of them has taken the folder over. */
function startHeartbeat(
  home: string,
  file: string,
  handle: FileHandle,
  me: Owner,
  log: (line: string) => void,
  times: ClaimTimes,
): Claim {
  const lost = new AbortController();
  let isFailing = false;
  let beating: Promise<void> | undefined;
  const beat = async () => {
    try {
      // Reads first: after this machine was suspended the folder may belong to another one, whose file we must not overwrite.
      const { owner } = await observe(file);
      if (!isSame(owner, me)) {
        clearInterval(timer);
        lost.abort(takenOver(home, owner));
        return;
      }
      await handle.utimes(new Date(), new Date());
      isFailing = false;
    } catch (error) {
      if (!isFailing) log(`The heartbeat in ${file} fails: ${(error as Error).message}`);
      isFailing = true;
    }
  };
  const timer = setInterval(() => {
    beating ??= beat().finally(() => {
      beating = undefined;
    });
  }, times.beatMs);
  timer.unref();
  return {
    descriptor: handle.fd,
    lost: lost.signal,
    async release() {
      clearInterval(timer);
      await beating;
      // If the file cannot be emptied, the next start on this machine still sees from the lock that we are gone.
      const isOurs = await observe(file).then(
        ({ owner }) => isSame(owner, me),
        () => false,
      );
      if (isOurs) await handle.truncate(0).catch(() => {});
      await handle.close();
    },
  };
}

function takenOver(home: string, owner: FoundOwner): Error {
  const what =
    typeof owner === "string"
      ? `Its file ${join(home, "owner")} was removed or changed`
      : `${nameOf(owner)} took it over, as this gateway gave no sign for too long`;
  return new Error(
    `The data folder ${home} is no longer ours and PostgreSQL is stopped, so that the data stays whole. ${what}.`,
  );
}

function nameOf(owner: FoundOwner): string {
  return typeof owner === "string" ? `(${owner})` : `(host ${owner.host}, process ${owner.pid} there)`;
}

function isSame(owner: FoundOwner, me: Owner): boolean {
  return typeof owner !== "string" && owner.claim === me.claim;
}

/** `state` changes with every heartbeat and every write. */
type Observation = { text: string; state: string; owner: FoundOwner };

/** Opens the file anew each time: a shared disk shows the writes of other machines only to a file opened after them. */
async function observe(file: string): Promise<Observation> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { text: "", state: "", owner: "nobody" };
    throw error;
  }
  try {
    const { mtimeNs, size } = await handle.stat({ bigint: true });
    const text = (await handle.readFile("utf8")).slice(0, 4_096);
    return { text, state: `${mtimeNs} ${size} ${text}`, owner: readOwner(text) };
  } finally {
    await handle.close();
  }
}

/**
 * Writes in place. A reader between the two steps, or after a crash between them, finds no complete owner and watches the file for
 * a while.
 */
async function write(handle: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  await handle.write(bytes, 0, bytes.length, 0);
  await handle.truncate(bytes.length);
}
