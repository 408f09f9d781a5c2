// The text of gen/rest/webhooks.ts: what the contract says of the calls that the platform makes. It is data alone, which the
// platform sends by, receivers read by, and the rules of src/domain decide by.

type Node = { [key: string]: unknown };
type Media = { schema: Node };
type OutcomeTable = { [answer: string]: { retry: string; end: string; effect: string } };
type Words = { [word: string]: string };
type Webhook = {
  operationId: string;
  parameters: readonly { $ref?: string }[];
  requestBody: { content: { [type: string]: Media } };
  responses: { [status: string]: Node };
  "x-dcm-callback": { word: string; urls: readonly string[]; kinds: { [kind: string]: OutcomeTable } };
};
export type WebhookDocument = {
  "x-dcm-retry-policy": Node;
  "x-dcm-callback-words": { retry: Words; end: Words; effect: Words };
  webhooks: { [name: string]: { post: Webhook } };
  components: {
    schemas: { [name: string]: Node };
    parameters: { [name: string]: { name: string; in: string } };
    securitySchemes: { CxAuthorization: { name: string } };
  };
};

const answers = ["accepted", "refused", "unanswered"];

/** Follows `$ref`, and the `allOf` of one that is how a description is put beside a `$ref`. */
function resolved(document: WebhookDocument, node: Node): Node {
  const target = node.$ref ?? (node.allOf as Node[] | undefined)?.[0]?.$ref;
  if (typeof target !== "string") return node;
  const steps = target.replace(/^#\//, "").split("/");
  const found = steps.reduce<unknown>((at, step) => (at as Node)[step], document);
  return { ...resolved(document, found as Node), ...node };
}

const nameOf = (reference: unknown) => String(reference).split("/").at(-1) ?? "";

/** The one value of a list in which all must be equal. */
function common<T>(what: string, values: readonly T[]): T {
  const [first, ...others] = values;
  if (first === undefined) throw new Error(`no webhook has ${what}`);
  const same = JSON.stringify(first);
  if (others.some((other) => JSON.stringify(other) !== same)) {
    throw new Error(`the webhooks differ in ${what}, which a receiver reads before it knows which of them it has`);
  }
  return first;
}

/** How a body is written: a token in an object, a bare token, or open JSON. */
function bodyOf(document: WebhookDocument, type: string, { schema }: Media) {
  const target = resolved(document, schema);
  if (target["x-jwt-claims"] !== undefined) {
    return { form: "bare", type, claims: nameOf(target["x-jwt-claims"]), maxChars: target.maxLength } as const;
  }
  const properties = (target.properties ?? {}) as { [name: string]: Node };
  const member = Object.keys(properties).find((name) => properties[name]?.["x-jwt-claims"] !== undefined);
  if (member === undefined) return { form: "open", type, claims: nameOf(schema.$ref) } as const;
  const { "x-jwt-claims": claims, maxLength: maxChars } = properties[member] as Node;
  return { form: "envelope", type, member, claims: nameOf(claims), maxChars } as const;
}

/** What open bodies say always, by the name of the member. */
function constantsOf(document: WebhookDocument, schema: string): Node {
  const properties = (document.components.schemas[schema]?.properties ?? {}) as { [name: string]: Node };
  const constant = Object.entries(properties)
    .map(([name, property]) => [name, resolved(document, property)] as const)
    .filter(([, property]) => "const" in property);
  return Object.fromEntries(constant.map(([name, property]) => [name, property.const]));
}

function answersOf(document: WebhookDocument, { operationId, responses }: Webhook) {
  const found = Object.entries(responses).map(([status, response]) => {
    const answer = String(resolved(document, response)["x-dcm-answer"]);
    if (!answers.includes(answer)) throw new Error(`${operationId}: the answer ${status} has no x-dcm-answer`);
    return [status, answer] as const;
  });
  const missing = ["2XX", "3XX", "4XX", "5XX"].find((range) => !(range in responses));
  if (missing) throw new Error(`${operationId}: what the answer ${missing} means is missing`);
  return Object.fromEntries(found);
}

function rowOf(document: WebhookDocument, webhook: Webhook) {
  const bodies = Object.entries(webhook.requestBody.content).map(([type, media]) => bodyOf(document, type, media));
  const claims = common(
    `claims at ${webhook.operationId}`,
    bodies.map(({ claims }) => claims),
  );
  const isOpen = bodies.some(({ form }) => form === "open");
  return {
    ...webhook["x-dcm-callback"],
    kinds: Object.keys(webhook["x-dcm-callback"].kinds),
    claims,
    ...(isOpen ? { form: "open", constants: constantsOf(document, claims) } : { form: "signed" }),
    answers: answersOf(document, webhook),
  };
}

/** The headers of every webhook, by the name of the component that describes each. */
function headersOf(document: WebhookDocument, webhooks: readonly Webhook[]) {
  const names = webhooks.map(({ parameters }) => parameters.map(({ $ref }) => nameOf($ref)));
  return Object.fromEntries(
    common("headers", names).map((name) => {
      const header = document.components.parameters[name];
      if (header?.in !== "header") throw new Error(`${name}: a header of the webhooks stands among the parameters`);
      return [name, header.name];
    }),
  );
}

/** Content types, member and size of the bodies: the same for every webhook of that form. */
function bodiesOf(document: WebhookDocument, webhooks: readonly Webhook[]) {
  const all = webhooks.flatMap(({ requestBody }) =>
    Object.entries(requestBody.content).map(([type, media]) => bodyOf(document, type, media)),
  );
  const ofForm = (form: string) => all.filter((body) => body.form === form).map(({ claims: _claims, ...body }) => body);
  const forms = ["envelope", "bare", "open"];
  return Object.fromEntries(
    forms.map((form) => {
      const { form: _form, ...body } = common(`bodies of the form ${form}`, ofForm(form));
      return [form, body];
    }),
  );
}

/** What follows from each class of answers, total and in words that the document explains. */
function outcomesOf(document: WebhookDocument, kind: string, table: OutcomeTable) {
  const words = document["x-dcm-callback-words"];
  sameEntries(`the answers of ${kind}`, Object.keys(table), answers);
  const rows = answers.map((answer) => {
    const { retry, end, effect } = table[answer] as OutcomeTable[string];
    if (!words.retry[retry] || !words.end[end] || !words.effect[effect]) {
      throw new Error(`${kind}, ${answer}: x-dcm-callback-words does not explain ${retry}, ${end} and ${effect}`);
    }
    return [answer, { retry, end: { state: end, effect } }] as const;
  });
  return Object.fromEntries(rows);
}

/** The exact reasons: one text, or several by the names of `x-enum-varnames`. */
function reasonsOf(schemas: WebhookDocument["components"]["schemas"]) {
  const named = Object.entries(schemas).filter(([name]) => name.endsWith("Reason"));
  return Object.fromEntries(
    named.map(([name, schema]) => {
      if ("const" in schema) return [name, schema.const];
      const texts = schema.enum as string[];
      const names = (schema["x-enum-varnames"] ?? []) as string[];
      if (names.length !== texts.length) throw new Error(`${name}: x-enum-varnames does not name every reason`);
      return [name, Object.fromEntries(names.map((word, index) => [word, texts[index]]))];
    }),
  );
}

/** Two lists of the contract that must have the same entries. */
function sameEntries(what: string, ones: readonly string[], others: unknown): void {
  const [left, right] = [ones, others as string[]].map((list) => JSON.stringify([...new Set(list)].sort()));
  if (left !== right) throw new Error(`${what}: ${left} here, ${right} there`);
}

export function webhooksModule(document: WebhookDocument): string {
  const webhooks = Object.entries(document.webhooks).map(([name, { post }]) => {
    if (post.operationId !== name) throw new Error(`webhook ${name} has the operationId ${post.operationId}`);
    return post;
  });
  const { schemas, securitySchemes } = document.components;
  const rows = webhooks.map((webhook) => [webhook.operationId, rowOf(document, webhook)] as const);
  const webhookOf = rows.flatMap(([id, { kinds }]) => kinds.map((kind) => [kind, id] as const));
  const kinds = webhookOf.map(([kind]) => kind);
  if (new Set(kinds).size !== kinds.length) throw new Error(`a kind of callback stands at two webhooks: ${kinds}`);
  sameEntries("x-dcm-callback.kinds and MissedCallbackKind", kinds, schemas.MissedCallbackKind?.enum);
  sameEntries(
    "x-dcm-callback.word and CallbackKind",
    rows.map(([, { word }]) => word),
    schemas.CallbackKind?.enum,
  );
  const outcomes = webhooks
    .flatMap((webhook) => Object.entries(webhook["x-dcm-callback"].kinds))
    .map(([kind, table]) => [kind, outcomesOf(document, kind, table)]);
  const { description: _prose, ...policy } = document["x-dcm-retry-policy"];
  const { retry, end, effect } = document["x-dcm-callback-words"];
  const constant = (name: string, prose: string, value: unknown) =>
    `/** ${prose} */\nexport const ${name} = ${JSON.stringify(value, null, 2)} as const;\n`;
  return [
    constant("webhooks", "Every call that the platform makes, by the name of its webhook.", Object.fromEntries(rows)),
    constant("webhookOf", "The webhook of each kind of callback.", Object.fromEntries(webhookOf)),
    constant("callbackKinds", "Every kind of callback, in the order of the document.", kinds),
    constant("outcomeRows", "What follows from the answer to each kind of callback.", Object.fromEntries(outcomes)),
    constant("callbackWords", "What the words of these rows mean.", { retry, end, effect }),
    constant("retryPolicy", "How often and when a callback is tried.", policy),
    constant("reasons", "Why payments, orders and callbacks say that they are as they are.", reasonsOf(schemas)),
    constant(
      "callbackHeaders",
      "The headers of every callback, by the component that describes each.",
      headersOf(document, webhooks),
    ),
    constant("callbackBodies", "How a body is written.", bodiesOf(document, webhooks)),
    constant("accessHeader", "The header by which a bank or merchant is let in.", securitySchemes.CxAuthorization.name),
  ].join("\n");
}
