// What `npm run contract:drift` changes in a copy of the contract, one row a change. Rows of one batch are made together, because
// each look at the whole takes seconds: so they must not touch each other, and each has a word of its own to be told by.

import { answeredMessages, answeredSchemas, callbackSchemas, messageDepth, schemaDepth } from "./answers.ts";
import { at, type Contract, type Node, rename, schemaAt } from "./contract.ts";

export type Mutation = {
  what: string;
  /** What the compiler or a check says about this change, and about no other of its batch; of a name, that it stands in quotes. */
  trace: string | RegExp;
  apply: (contract: Contract) => void;
};

/** A name as the compiler and the checks tell it: in quotes; several missing fields stand in one list, without quotes. */
export const namedPattern = (name: string) => `['"\`]${name}['"\`]|missing the following properties.*[:,] ${name}(,|$)`;

const operation = (document: Node, path: string, method: string) => at(document, "paths", path, method);

/** A word in all lists, as a value and as a key: what is renamed in one place only the generator refuses. */
function renameEverywhere(node: unknown, from: string, to: string): void {
  if (typeof node !== "object" || node === null) return;
  if (!Array.isArray(node) && from in node) rename(node as Node, from, to);
  for (const [key, value] of Object.entries(node)) {
    if (value === from) (node as Node)[key] = to;
    else renameEverywhere(value, from, to);
  }
}

function replaced(protos: Map<string, string>, file: string, before: string | RegExp, after: string): void {
  const text = protos.get(file) ?? "";
  if (text.replace(before, after) === text) throw new Error(`${file} has no ${before}`);
  protos.set(file, text.replace(before, after));
}

const inDocument =
  (change: (document: Node) => void) =>
  ({ document }: Contract): void =>
    change(document);

/** Names, values and limits. */
const names: readonly Mutation[] = [
  {
    what: "the webhook payOut is called paidOut",
    trace: /paidOut\b/,
    apply: inDocument((document) => renameEverywhere(at(document, "webhooks"), "payOut", "paidOut")),
  },
  {
    what: "the header X-Callback-Kind of callbacks is called X-Kind",
    trace: /X-Kind\b/,
    apply: inDocument((document) => {
      at(document, "components", "parameters", "CallbackKindHeader").name = "X-Kind";
    }),
  },
  {
    what: "a token in a body may have 47 110 characters instead of 65 536",
    trace: /\b47110\b/,
    apply: inDocument((document) => {
      schemaAt(document, "OrderToken").maxLength = 47_110;
    }),
  },
  {
    what: "an amount may be 4 711 at the most",
    trace: /\b4711\b/,
    apply: inDocument((document) => {
      schemaAt(document, "Amount").maximum = 4_711;
    }),
  },
  {
    what: "createOrder refuses a used ref with 410 instead of 409",
    trace: /`409`/,
    apply: inDocument((document) =>
      rename(at(operation(document, "/api/v1/merchants/order", "post"), "responses"), "409", "410"),
    ),
  },
  {
    what: "the limit requestBodyBytes is called largestBody",
    trace: "requestBodyBytes",
    apply: inDocument((document) => rename(at(document, "x-dcm-limits"), "requestBodyBytes", "largestBody")),
  },
  {
    what: "the error code REF_IS_ALREADY_TAKEN is called REF_IS_USED",
    trace: "REF_IS_ALREADY_TAKEN",
    apply: inDocument((document) => renameEverywhere(document, "REF_IS_ALREADY_TAKEN", "REF_IS_USED")),
  },
  {
    what: "the operation getHealth is called getPulse",
    trace: "getHealth",
    apply: inDocument((document) => {
      operation(document, "/healthz", "get").operationId = "getPulse";
    }),
  },
  {
    what: "the path of the list of banks is another",
    trace: "/api/v1/merchants/emitters",
    apply: inDocument((document) =>
      rename(at(document, "paths"), "/api/v1/merchants/emitters", "/api/v1/merchants/banks"),
    ),
  },
  {
    what: "an order can be Held",
    trace: /"Held"/,
    apply: inDocument((document) => (schemaAt(document, "OrderState").enum as string[]).push("Held")),
  },
  {
    what: "a register can be Lost",
    trace: /"Lost"/,
    apply: inDocument((document) => (schemaAt(document, "RegisterStatus").enum as string[]).push("Lost")),
  },
  {
    what: "a payment can be a gift",
    trace: /"gift"/,
    apply: inDocument((document) => (schemaAt(document, "PaymentType").enum as string[]).push("gift")),
  },
  {
    what: "an order needs a claim that nobody has heard of",
    trace: "unheard_claim",
    apply: inDocument((document) => {
      const claims = schemaAt(document, "OrderClaims");
      at(claims, "properties").unheard_claim = { type: "string", description: "New." };
      (claims.required as string[]).push("unheard_claim");
    }),
  },
  {
    what: "the RPC ReopenRegister is called ReviveRegister",
    trace: "reopenRegister",
    apply: ({ protos }) => replaced(protos, "settlement_service.proto", "rpc ReopenRegister(", "rpc ReviveRegister("),
  },
  {
    what: "the field ref of an RPC order is called reference",
    trace: "reference",
    apply: ({ protos }) => replaced(protos, "order.proto", " string ref = ", " string reference = "),
  },
];

/** What would stand in the way of the others of `names`. */
const further: readonly Mutation[] = [
  {
    what: "an order needs the claim fri",
    trace: "fri",
    apply: inDocument((document) => (schemaAt(document, "OrderClaims").required as string[]).push("fri")),
  },
  {
    what: "an order of RPC can be ORDER_STATUS_FROZEN",
    trace: /WithoutText<9>/,
    apply: ({ protos }) =>
      replaced(protos, "order.proto", /(ORDER_STATUS_CANCELED = 4;)/, "$1\n  ORDER_STATUS_FROZEN = 9;"),
  },
  {
    what: "createOrder answers 226 instead of 201",
    trace: /\b226\b|`201`/,
    apply: inDocument((document) =>
      rename(at(operation(document, "/api/v1/merchants/order", "post"), "responses"), "201", "226"),
    ),
  },
  {
    what: "an order has no claim cur",
    trace: "cur",
    apply: inDocument((document) => dropField(schemaAt(document, "OrderClaims"), "cur")),
  },
];

function dropField(schema: Node, name: string): void {
  const properties = at(schema, "properties");
  if (!(name in properties)) throw new Error(`there is no ${name}`);
  delete properties[name];
  // An object of which nothing is known any more would say nothing of what is missing.
  if (Object.keys(properties).length === 0) properties.another = { type: "string", description: "Another." };
  if (Array.isArray(schema.required)) schema.required = schema.required.filter((field) => field !== name);
}

/** Of several answers each loses another field, so that what is said about it cannot be about another one. */
function unusedName(candidates: readonly string[], used: Set<string>): string | undefined {
  const free = candidates.find((name) => !used.has(name));
  if (free !== undefined) used.add(free);
  return free;
}

const snake = (name: string) => name.replaceAll(/(?<!^)([A-Z])/g, "_$1").toLowerCase();
/** The compiler knows a field of a message by one name, and buf by the other. */
const traceOf = (field: string) => `(?:${field}|${camel(field)})`;
const camel = (name: string) => name.replaceAll(/_(\w)/g, (_all, letter: string) => letter.toUpperCase());

/** What is wrong inside of an answer hides what is wrong with the answer itself, so what lies in each other is not changed together. */
type AtDepth = Mutation & { depth: number };

function schemasOf(document: Node) {
  const [answered, told] = [answeredSchemas(document), callbackSchemas(document)];
  return [
    ...[...answered].map(([name, path]) => ({ kind: "answer", name, path, depth: schemaDepth(document, path) })),
    ...[...told]
      .filter(([name]) => !answered.has(name))
      .map(([name, path]) => ({ kind: "callback", name, path, depth: schemaDepth(document, path) })),
  ];
}

/** The body of a message, in whichever file it stands. */
function changeMessage({ protos }: Contract, message: string, change: (text: string) => string): void {
  for (const [file, text] of protos) {
    const block = new RegExp(`^message ${message} \\{\\n[\\s\\S]*?^\\}`, "m").exec(text)?.[0];
    if (block === undefined) continue;
    const changed = change(block);
    if (changed === block) throw new Error(`${message} did not change`);
    protos.set(
      file,
      text.replace(block, () => changed),
    );
    return;
  }
  throw new Error(`there is no message ${message}`);
}

/** Each kind of answer, and of claims that a callback tells, loses a field. */
function dropped(document: Node): AtDepth[] {
  const used = new Set<string>();
  const rest = schemasOf(document).flatMap(({ kind, name, path, depth }): AtDepth[] => {
    const field = unusedName(Object.keys(at(document, ...path, "properties")).reverse(), used);
    if (field === undefined) return [];
    const apply = (contract: Contract) => dropField(at(contract.document, ...path), field);
    return [{ what: `the ${kind} ${name} has no ${field}`, trace: field, apply, depth }];
  });
  const rpc = answeredMessages().flatMap((message): AtDepth[] => {
    const field = unusedName(
      message.fields
        .map(({ name }) => name)
        .reverse()
        .filter((name) => !used.has(camel(name))),
      used,
    );
    if (field === undefined) return [];
    const line = new RegExp(`^ +\\S.* ${field} = \\d+\\b[^;]*;\\n`, "m");
    const apply = (contract: Contract) => changeMessage(contract, message.name, (text) => text.replace(line, ""));
    const what = `the RPC message ${message.name} has no ${field}`;
    return [{ what, trace: traceOf(field), apply, depth: messageDepth(message) }];
  });
  return [...rest, ...rpc];
}

/** Each kind of answer, and of claims that a callback tells, has a field more, which nobody fills. */
function added(document: Node): AtDepth[] {
  const rest = schemasOf(document).map(({ kind, name, path, depth }): AtDepth => {
    const field = `more_of_${snake(name)}`;
    const apply = (contract: Contract) => {
      const schema = at(contract.document, ...path);
      at(schema, "properties")[field] = { type: "string", description: "New." };
      // Of an answer the optional fields are named as well; of a callback those that are always there.
      if (kind === "callback") schema.required = [...((schema.required as string[] | undefined) ?? []), field];
    };
    return { what: `the ${kind} ${name} has ${field}`, trace: field, apply, depth };
  });
  const rpc = answeredMessages().map((message): AtDepth => {
    const field = `further_${snake(message.name)}`;
    const apply = (contract: Contract) =>
      changeMessage(contract, message.name, (text) => text.replace("{", `{\n  // New.\n  string ${field} = 4711;`));
    const what = `the RPC message ${message.name} has ${field}`;
    // Of what stands in another message the compiler names the type that is not whole, and not always what it lacks.
    const trace = new RegExp(`${namedPattern(traceOf(field))}|^[^\\n]*type 'WholeMessage<${message.name}>`, "m");
    return { what, trace, apply, depth: messageDepth(message) };
  });
  return [...rest, ...rpc];
}

/** All that is changed, in batches. */
export function batchesOf({ document }: Contract): readonly (readonly Mutation[])[] {
  const [fewer, more] = [dropped(document), added(document)];
  return [
    names,
    [...further, ...fewer.filter(({ depth }) => depth === 1)],
    fewer.filter(({ depth }) => depth !== 1),
    more.filter(({ depth }) => depth === 0),
    more.filter(({ depth }) => depth === 1),
    more.filter(({ depth }) => depth > 1),
  ];
}
