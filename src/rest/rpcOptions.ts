import { limits } from "../../gen/rest/limits.ts";

/** The deadline of calls to the core: longer than it ever needs, shorter than callers wait (wire contract, section 7, "408"). */
export const rpcOptions = { timeoutMs: limits.answerSeconds * 1000 } as const;
