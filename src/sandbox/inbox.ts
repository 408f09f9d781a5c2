import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { webhooks } from "../../gen/rest/webhooks.ts";
import {
  CALLBACK_GUID_HEADER,
  type CallbackProblem,
  MAX_CALLBACK_TOKEN_CHARS,
  PING_KIND,
  pingProof,
  verifyCallback,
} from "../sdk/callbacks.ts";
import type { Claims } from "../sdk/jws.ts";
import type { SigningKey, VerificationKey } from "../sdk/keys.ts";
import { listenOnLoopback } from "./loopback.ts";

/** Webhooks that have a URL of their own, and the name of that URL at registration. */
type Webhook = Exclude<(typeof webhooks)[keyof typeof webhooks], { urls: readonly [] }>;
export type UrlName = Webhook["urls"][number];

/** The last segment of the path that a callback is sent to. */
export type CallbackPath = Webhook["word"] | "base";

/** The path of each of a participant's URLs in its inbox. */
export const CALLBACK_PATHS = Object.fromEntries([
  ["base", "base"],
  ...Object.values(webhooks).flatMap(({ urls: [own], word }) => (own === undefined ? [] : [[own, word]])),
]) as Record<UrlName, CallbackPath>;

/** Faults: no HTTP answer, or an incomplete one. One that has a status line counts as an answer with that status. */
export type Fault = "hang" | "reset" | "garbage" | "oversized" | "endless-body";

/** A status, a whole answer, or a fault. */
export type Reply =
  | number
  | Fault
  | { status: number; headers?: Record<string, string>; body?: string; delayMs?: number };

/** What to answer: always the same, or computed from the call. */
export type Script = Reply | ((call: Call) => Reply | Promise<Reply>);

/** One callback as it arrived. `guid` is the payment message's, `callbackGuid` the callback's own. */
export type Call = {
  kind: CallbackPath;
  guid: string | undefined;
  callbackGuid: string | undefined;
  orderId: string | undefined;
  status: string | undefined;
  reason: string | undefined;
  claims: Claims;
  /** What is wrong with the callback's signatures, receiver, age or guid; undefined if all are right. */
  problem: CallbackProblem | undefined;
  /** How often this callback guid has come, this time included, among the calls that are kept. */
  attempt: number;
  at: Date;
  /** The status or fault that was answered; undefined while the answer is being made. */
  answered: number | Fault | undefined;
};

/** Whether the receiver accepted the call, which the platform then counts as delivered. */
export function isAccepted({ answered }: Call): boolean {
  return typeof answered === "number" && answered >= 200 && answered <= 299;
}

/** Which call to wait for: members of the call or of its claims, or a predicate. */
type Match = Record<string, unknown> | ((call: Call) => boolean);

export type InboxOptions = {
  /** The receiver's guid or uid; callbacks for anyone else are answered 401. */
  audience: string;
  /** Asked for every callback; `refresh` is true when the cached keys do not include the signer's. */
  platformKeys: (refresh: boolean) => Promise<readonly VerificationKey[]>;
  /** The keys that prove themselves in the answer to a ping; pings are not recorded as calls. */
  proves?: readonly SigningKey[];
  /** How many calls are kept for `calls` and `receives`; older ones are forgotten. Default 10 000. */
  keepCalls?: number;
  /** Called for each call once it is answered. */
  onCall?: (call: Call) => void;
};

const DEFAULT_KEEP_CALLS = 10_000;
const DEFAULT_WAIT_MS = 10_000;
/** The largest token plus the JSON around it. */
const MAX_BODY_BYTES = MAX_CALLBACK_TOKEN_CHARS + 1024;
/** More than a careful sender reads of any answer. */
const OVERSIZED_BYTES = 256 * 1024;

/** Starts a server on a free loopback port that verifies, records and answers callbacks as it was told to. */
export async function openInbox(options: InboxOptions) {
  const scripts = new Map<CallbackPath, Script[]>();
  const record = createRecord(options.keepCalls ?? DEFAULT_KEEP_CALLS);

  function answered(call: Call, as: number | Fault) {
    record.answered(call, as);
    options.onCall?.(call);
  }

  async function receive(request: IncomingMessage, response: ServerResponse) {
    const rawBody = await readBody(request);
    const kind = Object.values(CALLBACK_PATHS).find((path) => request.url === `/${path}`);
    if (!kind || request.method !== "POST" || !rawBody) return void response.writeHead(kind ? 400 : 404).end();
    const call = await describe(kind, request, rawBody, options);
    if (call.claims.callback_kind === PING_KIND) {
      const proof = await pingProof(call.claims, options.proves ?? []);
      return void response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(proof));
    }
    record.keep(call);
    const reply = call.problem ? 401 : await nextReply(scripts.get(kind), call);
    if (typeof reply === "string") {
      answered(call, statusOfFault[reply] ?? reply);
      FAULTS[reply](response);
      return;
    }
    const whole = typeof reply === "number" ? { status: reply } : reply;
    // If the sender hung up before the whole answer was written, it saw a receiver that hangs.
    answered(call, (await answer(whole, response)) ? whole.status : "hang");
  }

  const server = createServer((request, response) => {
    // A broken connection concerns this request only; the inbox goes on.
    receive(request, response).catch(() => request.socket.destroy());
  });
  const { url, stop } = await listenOnLoopback(server);

  return {
    url,
    stop,
    /** Scripts the answers to a kind of callback, in order; the last one stays. The default is 200. */
    answers(kind: CallbackPath, ...replies: [Script, ...Script[]]) {
      scripts.set(kind, [...replies]);
    },
    calls: record.calls,
    receives: record.receives,
    /** Forgets every call and every script, for the next test. */
    reset() {
      record.forget();
      scripts.clear();
    },
  };
}

type Waiter = { kind: CallbackPath; match: Match; resolve: (call: Call) => void };

/** The recorded calls, and those who wait for one. */
function createRecord(keepCalls: number) {
  const calls: Call[] = [];
  const waiters = new Set<Waiter>();
  return {
    keep(call: Call) {
      call.attempt = 1 + calls.filter((earlier) => earlier.callbackGuid === call.callbackGuid).length;
      if (keepCalls > 0) calls.push(call);
      if (calls.length > keepCalls) calls.shift();
    },
    answered(call: Call, as: number | Fault) {
      call.answered = as;
      for (const waiter of waiters) if (waiter.kind === call.kind && matches(call, waiter.match)) waiter.resolve(call);
    },
    /** The kept calls of a kind, oldest first. */
    calls: (kind: CallbackPath, match: Match = {}) => calls.filter((c) => c.kind === kind && matches(c, match)),
    /** Waits until such a callback has come and been answered; rejects after the time-out. */
    receives(kind: CallbackPath, match: Match = {}, timeoutMs = DEFAULT_WAIT_MS): Promise<Call> {
      const earlier = calls.find((c) => c.kind === kind && c.answered !== undefined && matches(c, match));
      if (earlier) return Promise.resolve(earlier);
      const { promise, resolve, reject } = Promise.withResolvers<Call>();
      const waiter = { kind, match, resolve };
      waiters.add(waiter);
      const timer = setTimeout(() => reject(new Error(tooLate(kind, match, timeoutMs, calls))), timeoutMs);
      return promise.finally(() => {
        clearTimeout(timer);
        waiters.delete(waiter);
      });
    },
    forget() {
      calls.length = 0;
    },
  };
}

async function describe(kind: CallbackPath, request: IncomingMessage, rawBody: Buffer, options: InboxOptions) {
  const verify = async (refresh: boolean) => {
    const keys = await options.platformKeys(refresh);
    return verifyCallback({ headers: request.headers, rawBody }, { audience: options.audience, keys }, new Date());
  };
  let verified = await verify(false);
  if (!verified.ok && verified.problem.endsWith("unknown_key")) verified = await verify(true);
  const claims = verified.ok ? verified.claims : {};
  const message = claims.payment_message as Claims | undefined;
  const header = request.headers[CALLBACK_GUID_HEADER.toLowerCase()];
  const call: Call = {
    kind,
    guid: text(claims.payment_message_guid),
    callbackGuid: verified.ok ? verified.guid : text(header),
    orderId: text(claims.order_id) ?? text(message?.order_id),
    status: text(claims.status),
    reason: text(claims.reason),
    claims,
    problem: verified.ok ? undefined : verified.problem,
    attempt: 1,
    at: new Date(),
    answered: undefined,
  };
  return call;
}

async function nextReply(script: Script[] | undefined, call: Call): Promise<Reply> {
  if (!script) return 200;
  const next = script.length > 1 ? script.shift() : script[0];
  return typeof next === "function" ? next(call) : (next ?? 200);
}

type WholeReply = Exclude<Reply, number | Fault>;

/** Writes the answer; false when the sender hung up before the end. */
async function answer(reply: WholeReply, response: ServerResponse): Promise<boolean> {
  if (reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs).unref());
  response.writeHead(reply.status, reply.headers);
  response.end(reply.body);
  if (!response.writableFinished && !response.destroyed) {
    await Promise.race([once(response, "finish"), once(response, "close")]);
  }
  return response.writableFinished;
}

/** The status that the sender sees in the status line, whatever the body does then. */
const statusOfFault: Partial<Record<Fault, number>> = { oversized: 200, "endless-body": 200 };

/** What each fault does to the connection. */
const FAULTS = {
  hang: () => {},
  reset: (response) => response.socket?.resetAndDestroy(),
  garbage: (response) => response.socket?.end("This is not HTTP at all.\r\n\r\n"),
  oversized: (response) => response.writeHead(200).end("x".repeat(OVERSIZED_BYTES)),
  "endless-body": (response) => response.writeHead(200, { "Content-Length": "1000" }).write("only the beginning"),
} satisfies Record<Fault, (response: ServerResponse) => unknown>;

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function matches(call: Call, match: Match): boolean {
  if (typeof match === "function") return match(call);
  return Object.entries(match).every(([name, value]) => {
    const found = Object.hasOwn(call, name) ? call[name as keyof Call] : call.claims[name];
    return found === value;
  });
}

function tooLate(kind: CallbackPath, match: Match, timeoutMs: number, calls: readonly Call[]): string {
  const wanted = typeof match === "function" ? "that matches" : JSON.stringify(match);
  const came = calls.slice(-10).map((c) => `${c.kind} ${c.status} ${c.reason ?? ""} (${c.problem ?? c.answered})`);
  return `No ${kind} callback ${wanted} within ${timeoutMs} ms. Last calls: ${came.join("; ") || "none"}`;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
