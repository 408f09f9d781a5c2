import type { OptionSpec } from "../../commandLine.ts";
import { bankRoles, deepLinkContents, participantKinds } from "../../domain/participant.ts";
import type { Action, Group } from "../action.ts";
import { DURATION_HELP, limitOption } from "./options.ts";

const handlers = () => import("../participants.ts");
const keyHandlers = () => import("../participantKeys.ts");
const pingHandlers = () => import("../participantPing.ts");

/** Frequently changed settings of banks, which therefore have options of their own and need no file. */
const bankOptions = {
  "deep-link-content": {
    value: "CONTENT",
    choices: deepLinkContents,
    help: "What the bank's deep links hold: the order as the platform signs it, or its id.",
  },
  "requires-body-sha256": {
    value: "YES|NO",
    choices: ["yes", "no"],
    help: "Whether the bank's requests that change something are refused without the claim body_sha256.",
  },
} as const satisfies Record<string, OptionSpec>;

/** For registering a participant or adding a key: its callback addresses must first sign a challenge with the keys. */
const proveOption = {
  prove: {
    help: "Only if each of its callback URLs proves the key by its answer to a ping (webhook ping of the contract).",
  },
} as const satisfies Record<string, OptionSpec>;

const versionOption = {
  version: { value: "N", fallback: "0", help: "Only if it still has this version; 0 is any." },
} as const satisfies Record<string, OptionSpec>;

const FILE_HELP = "FILE holds a dcm.v1.Participant as JSON, keys as JSON objects or texts; - reads standard input.";

const keyActions: Record<string, Action> = {
  "add-key": {
    positionals: ["GUID", "FILE"],
    options: {
      "retire-others-in": {
        value: "DURATION",
        help: `When its other keys of the same use retire: ${DURATION_HELP}. Without it they stay.`,
      },
      ...proveOption,
    },
    help: "Add a key to those that a participant has. FILE holds one public JSON Web Key; - reads standard input.",
    run: async (call) => (await keyHandlers()).addKey(call),
  },
  "retire-key": {
    positionals: ["GUID", "KID"],
    options: {
      in: { value: "DURATION", help: `When: ${DURATION_HELP}. Without it at once.` },
      id: { value: "N", help: "The number of the key, where the participant has two of this kid." },
    },
    help: "Retire a key of a participant, for ever. A KID that begins with - comes last, after --.",
    run: async (call) => (await keyHandlers()).retireKey(call),
  },
};

const statusActions: Record<string, Action> = {
  suspend: {
    positionals: ["GUID"],
    options: versionOption,
    help:
      "Suspend a participant: but for gross settlement its requests are refused, and callbacks to it count as not answered. Again is " +
      "safe.",
    run: async (call) => (await handlers()).suspend(call),
  },
  resume: {
    positionals: ["GUID"],
    options: versionOption,
    help: "Let a suspended participant take part again. Callbacks in review stay there: see `callbacks replay-all`.",
    run: async (call) => (await handlers()).resume(call),
  },
  close: {
    positionals: ["GUID"],
    options: versionOption,
    help: "Close a suspended participant, for ever: its keys are retired. Refused while anything of it is under way.",
    run: async (call) => (await handlers()).close(call),
  },
};

export const participants: Group = {
  summary: "Banks and merchants: look at them, register, change, suspend and close them; their keys.",
  actions: {
    list: {
      positionals: [],
      options: {
        kind: { value: "KIND", choices: participantKinds, help: "Only banks, or only merchants." },
        role: { value: "ROLE", choices: bankRoles, help: "Only banks that are initiator or recipient." },
        limit: limitOption(100),
      },
      help: "List participants by name.",
      run: async (call) => (await handlers()).list(call),
    },
    show: {
      positionals: ["[GUID]"],
      options: {
        bic: { value: "BIC", without: ["uid", "kid"], help: "Find a bank by its code." },
        uid: { value: "UID", without: ["kid"], help: "Find a merchant by its uid." },
        kid: { value: "KID", help: "Find a bank by the kid of a signing key." },
      },
      help: "Show one participant and its keys, good and retired ones.",
      run: async (call) => (await handlers()).show(call),
    },
    "register-bank": {
      positionals: ["FILE"],
      options: { ...bankOptions, ...proveOption },
      help: `Register a bank; the same content again is safe. ${FILE_HELP}`,
      run: async (call) => (await handlers()).registerBank(call),
    },
    "register-merchant": {
      positionals: ["FILE"],
      options: proveOption,
      help: `Register a merchant; the same content again is safe. ${FILE_HELP}`,
      run: async (call) => (await handlers()).registerMerchant(call),
    },
    update: {
      positionals: ["GUID", "[FILE]"],
      options: { ...bankOptions, ...versionOption },
      help:
        "Change any field. FILE holds what changes, a dcm.v1.UpdateParticipantRequest as JSON; keys that it gives replace the others at " +
        "once.",
      run: async (call) => (await handlers()).update(call),
    },
    ...keyActions,
    ping: {
      positionals: ["GUID"],
      options: {},
      help: "Send a test to each of its callback URLs, and tell what came of it; ends with 1 when one does not work.",
      run: async (call) => (await pingHandlers()).ping(call),
    },
    ...statusActions,
  },
};
