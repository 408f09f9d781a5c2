import { limits } from "../../gen/rest/limits.ts";

/** How the core is called: for longer than it needs for anything, shorter than a caller waits (wire contract, section 7, "408"). */
export const rpcOptions = { timeoutMs: limits.answerSeconds * 1000 } as const;
