// What the contract answers, kind by kind: of REST and of callbacks the schemas, of RPC the messages.

import type { DescMessage } from "@bufbuild/protobuf";
import { AuditService } from "../../gen/dcm/v1/audit_service_pb.ts";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { CredentialService } from "../../gen/dcm/v1/credential_service_pb.ts";
import { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { PlatformService } from "../../gen/dcm/v1/platform_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { at, type Node } from "./contract.ts";

/** Where schemas with fields of their own stand in the document, by the name of the component that holds them. */
type Found = Map<string, readonly string[]>;

/** Follows references, arrays and combinations from the schema at a path. A component counts once, with the first of its parts. */
function collect(document: Node, path: readonly string[], component: string, found: Found): void {
  const schema = at(document, ...path);
  if (typeof schema.$ref === "string") {
    const target = schema.$ref.slice(2).split("/");
    const name = target.at(-1) ?? "";
    if (!found.has(name)) collect(document, target, name, found);
    return;
  }
  if (schema.properties !== undefined) {
    if (component !== "" && !found.has(component)) found.set(component, path);
    for (const name of Object.keys(schema.properties as Node))
      collect(document, [...path, "properties", name], "", found);
  }
  if (schema.items !== undefined) collect(document, [...path, "items"], "", found);
  for (const kind of ["allOf", "anyOf", "oneOf"])
    for (const index of Object.keys((schema[kind] ?? {}) as Node))
      collect(document, [...path, kind, index], component, found);
}

/** The path to what stands at a path, behind its `$ref`. */
function behind(document: Node, path: readonly string[]): readonly string[] {
  const { $ref: reference } = at(document, ...path);
  return typeof reference === "string" ? behind(document, reference.slice(2).split("/")) : path;
}

const jsonSchema = ["content", "application/json", "schema"];
const existsAt = (document: Node, path: readonly string[]) =>
  path.reduce<unknown>((node, key) => (node as Node | undefined)?.[key], document) !== undefined;

/** How many components with fields lie below one, one in the other: 0 for those that hold none. */
export function schemaDepth(document: Node, path: readonly string[]): number {
  const found: Found = new Map();
  const component = path.slice(0, 3);
  collect(document, component, "", found);
  const below = [...found.values()].filter((other) => other[2] !== component[2]);
  return Math.max(-1, ...below.map((other) => schemaDepth(document, other))) + 1;
}

/** Of every 2xx answer in JSON. */
export function answeredSchemas(document: Node): Found {
  const found: Found = new Map();
  for (const [path, item] of Object.entries(at(document, "paths")))
    for (const [method, operation] of Object.entries(item as Node))
      for (const status of Object.keys((operation as Node).responses ?? {})) {
        const response = behind(document, ["paths", path, method, "responses", status]);
        const schema = [...response, ...jsonSchema];
        if (status.startsWith("2") && existsAt(document, schema)) collect(document, schema, "", found);
      }
  return found;
}

/** Of every callback: the claims of its token, or its open body. */
export function callbackSchemas(document: Node): Found {
  const found: Found = new Map();
  for (const [name, item] of Object.entries(at(document, "webhooks")))
    for (const method of Object.keys(item as Node)) {
      const body = behind(document, ["webhooks", name, method, "requestBody"]);
      const schema = behind(document, [...body, ...jsonSchema]);
      const jwt = [...schema, "properties", "jwt"];
      const claims = existsAt(document, jwt) ? [...behind(document, jwt), "contentSchema"] : [...body, ...jsonSchema];
      collect(document, claims, "", found);
    }
  return found;
}

const services = [
  AuditService,
  CallbackService,
  CredentialService,
  OrderService,
  ParticipantService,
  PaymentMessageService,
  PlatformService,
  SettlementService,
];

/** How many messages of ours lie below one, one in the other. */
export function messageDepth({ fields }: DescMessage): number {
  const below = fields.flatMap(({ message }) => (message?.typeName.startsWith("dcm.") ? [messageDepth(message)] : []));
  return Math.max(-1, ...below) + 1;
}

/** Every message that an RPC answers, with those inside it. */
export function answeredMessages(): DescMessage[] {
  const found = new Set<DescMessage>();
  const open = services.flatMap((service) => service.methods.map((method) => method.output));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next) || !next.typeName.startsWith("dcm.")) continue;
    found.add(next);
    for (const { message } of next.fields) if (message !== undefined) open.push(message);
  }
  return [...found].sort((one, other) => one.typeName.localeCompare(other.typeName));
}
