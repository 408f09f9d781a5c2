// A contract as data that a mutation can change: the OpenAPI document parsed, the files of proto/ as text.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";

export type Node = { [key: string]: unknown };
export type Contract = { document: Node; protos: Map<string, string> };

const documentPath = "openapi/dcm.v1.yaml";
const protoFolder = "proto/dcm/v1";

export function readContract(root: string): Contract {
  const names = readdirSync(join(root, protoFolder));
  return {
    document: parse(readFileSync(join(root, documentPath), "utf8")) as Node,
    protos: new Map(names.map((name) => [name, readFileSync(join(root, protoFolder, name), "utf8")])),
  };
}

export function writeContract(root: string, { document, protos }: Contract): void {
  writeFileSync(join(root, documentPath), stringify(document, { aliasDuplicateObjects: false }));
  for (const [name, text] of protos) writeFileSync(join(root, protoFolder, name), text);
}

export const copyOf = ({ document, protos }: Contract): Contract => ({
  document: structuredClone(document),
  protos: new Map(protos),
});

/** A part of the document by its keys; throws where it is not there, so that no mutation changes nothing. */
export function at(document: Node, ...keys: readonly string[]): Node {
  const found = keys.reduce<unknown>((node, key) => (node as Node | undefined)?.[key], document);
  if (typeof found !== "object" || found === null) throw new Error(`the document has no ${keys.join(" ")}`);
  return found as Node;
}

export const schemaAt = (document: Node, name: string): Node => at(document, "components", "schemas", name);

export function rename(map: Node, from: string, to: string): void {
  if (!(from in map)) throw new Error(`there is no ${from}`);
  map[to] = map[from];
  delete map[from];
}
