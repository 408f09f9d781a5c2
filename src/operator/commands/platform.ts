import { auditActs } from "../../domain/audit.ts";
import { scopes } from "../../domain/credential.ts";
import { callbackAlgs } from "../../domain/participant.ts";
import type { Action, Group } from "../action.ts";
import { limitOption, TIME_HELP } from "./options.ts";

const serviceHandlers = () => import("../services.ts");
const keyHandlers = () => import("../keys.ts");

export const services: Group = {
  summary: "Credentials of services that call the core: make, list and revoke them.",
  actions: {
    add: {
      positionals: ["NAME"],
      options: {
        scope: {
          value: "SCOPE",
          multiple: true,
          choices: scopes,
          help: "What it may do: gateway for a role rest that runs apart, reader to look, operator to run the platform.",
        },
        days: { value: "N", most: 3_650, fallback: "365", help: "How many days it is good." },
      },
      help: "Make a credential and print its secret, this once.",
      run: async (call) => (await serviceHandlers()).add(call),
    },
    list: {
      positionals: [],
      options: {},
      help: "List all credentials; secrets are kept nowhere.",
      run: async (call) => (await serviceHandlers()).list(call),
    },
    revoke: {
      positionals: ["NAME"],
      options: {},
      help: "Make a credential useless.",
      run: async (call) => (await serviceHandlers()).revoke(call),
    },
  },
};

export const keys: Group = {
  summary: "Signing keys of the platform: look at them, rotate them, make new ones when the master key is lost.",
  actions: {
    list: {
      positionals: [],
      options: {},
      help: "List every signing key that the platform ever had, newest first.",
      run: async (call) => (await keyHandlers()).list(call),
    },
    rotate: {
      positionals: [],
      options: {
        alg: { value: "ALG", choices: callbackAlgs, fallback: "RS256", help: "Of which algorithm." },
        announce: {
          value: "TIME",
          help: "How long the new key is published before it signs: seconds, or like 90m, 24h, 7d. Default: 24h.",
        },
        "at-once": {
          without: ["announce"],
          help: "The old key is in other hands: the new one signs now, and no other of the algorithm is published any more.",
        },
      },
      help: "Make a new signing key in the place of the one that signs.",
      run: async (call) => (await keyHandlers()).rotate(call),
    },
    recover: {
      positionals: [],
      options: {},
      help:
        "The master key is lost and the gateway does not start: make new signing keys under the DCM_MASTER_KEY of now. Works on " +
        "DATABASE_URL, or on the embedded PostgreSQL in DATA_DIR, and not through the core.",
      run: async (call) => (await keyHandlers()).recover(call),
    },
  },
};

export const audit: Action = {
  positionals: [],
  options: {
    actor: { value: "NAME", help: "Only of this credential, this bank (its guid), or `platform`." },
    act: { value: "ACT", multiple: true, choices: auditActs, help: "Only these acts." },
    object: {
      value: "ID",
      help: "Only about this participant or callback (guid), credential (name), register (id) or day (2026-01-31).",
    },
    since: { value: "TIME", help: `Only since then: ${TIME_HELP}.` },
    until: { value: "TIME", help: "Only before then." },
    limit: limitOption(50),
  },
  help:
    "Who changed what, newest first, with the beginning of the digests of the row before and after; --json has the whole " +
    "digests.",
  run: async (call) => (await import("../audit.ts")).list(call),
};
