/**
 * The tokens in the examples of openapi/dcm.v1.yaml, signed with the published example keys so that everybody can verify them.
 * `--write` signs them anew from the examples of their claims, `--check` fails when one is not what that gives. The signature of
 * RS256 depends on nothing but key and text, so both always come to the same tokens.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { JWK } from "jose";
import { parse, parseDocument } from "yaml";
import { type Claims, signJws } from "../src/sdk/jws.ts";
import { importKeyPair, type SigningKey } from "../src/sdk/keys.ts";

type Node = { [key: string]: unknown };
type Path = readonly (string | number)[];
export type ExampleToken = { path: Path; token: string; claimsName: string; claims: Claims; signer: string };

export const CONTRACT = fileURLToPath(new URL("../openapi/dcm.v1.yaml", import.meta.url));
export const KEYS = fileURLToPath(new URL("../openapi/examples/keys.json", import.meta.url));

/** Who signs what: the platform all that is not named here. */
const signers: { [claims: string]: string } = {
  OrderClaims: "merchant",
  OrderCancellationClaims: "merchant",
  PaymentMessageClaims: "initiator",
  NewKeyClaims: "initiator",
  GrossSettlementPaymentClaims: "initiator",
  GrossSettlementConfirmationClaims: "initiator",
  PingProofClaims: "recipient",
};

/** Every token in an example, with the claims that it has to carry: those of the example that `x-claims-example` numbers. */
export function exampleTokens(document: Node): ExampleToken[] {
  const at = (reference: unknown) =>
    String(reference)
      .replace(/^#\//, "")
      .split("/")
      .reduce<unknown>((node, step) => (node as Node)[step], document) as Node;

  function token(path: Path, value: string, reference: unknown, index: number): ExampleToken {
    const claimsName = String(reference).split("/").at(-1) ?? "";
    const claims = (at(reference).examples as Claims[])[index];
    if (claims === undefined) throw new Error(`${path.join("/")}: ${claimsName} has no example ${index}`);
    const isOfBank = claimsName === "CxAuthorizationClaims" && index === 0;
    return {
      path,
      token: value,
      claimsName,
      claims,
      signer: isOfBank ? "initiator" : (signers[claimsName] ?? "platform"),
    };
  }

  /** The tokens in a value that a schema describes. */
  function inValue(path: Path, value: unknown, schema: Node, index: number): ExampleToken[] {
    const parts = [schema.$ref && at(schema.$ref), ...((schema.allOf ?? schema.oneOf ?? []) as Node[])] as Node[];
    const reference = schema["x-jwt-claims"];
    if (typeof value === "string" && reference !== undefined) return [token(path, value, reference, index)];
    const below = Object.entries((schema.properties ?? {}) as { [name: string]: Node }).flatMap(([name, property]) =>
      inValue([...path, name], (value as Node | undefined)?.[name], property, index),
    );
    const items = Array.isArray(value) && schema.items ? value : [];
    return [
      ...below,
      ...items.flatMap((item, number) => inValue([...path, number], item, schema.items as Node, index)),
      ...parts.filter(Boolean).flatMap((part) => inValue(path, value, part, index)),
    ];
  }

  function inNode(path: Path, node: unknown): ExampleToken[] {
    if (typeof node !== "object" || node === null) return [];
    const { schema, example, examples, "x-example": bare, "x-jwt-claims": reference } = node as Node;
    const named = schema ? Object.entries((examples ?? {}) as { [name: string]: Node }) : [];
    return [
      ...(schema && example !== undefined ? inValue([...path, "example"], example, schema as Node, 0) : []),
      ...named.flatMap(([name, { value, "x-claims-example": index = 0 }]) =>
        inValue([...path, "examples", name, "value"], value, schema as Node, index as number),
      ),
      ...(typeof bare === "string" ? [token([...path, "x-example"], bare, reference, 0)] : []),
      ...Object.entries(node)
        .filter(([key]) => key !== "example" && key !== "examples")
        .flatMap(([key, part]) => inNode([...path, Array.isArray(node) ? Number(key) : key], part)),
    ];
  }
  return inNode([], document);
}

/** The contract with every example token signed anew; everything else in it stays as it is written. */
export async function renewedContract(text: string, pairs: { [signer: string]: SigningKey }): Promise<string> {
  const source = parseDocument(text);
  const replacements = await Promise.all(
    exampleTokens(parse(text) as Node).map(async ({ path, claims, signer }) => {
      const jws = await signJws(claims, pairs[signer] as SigningKey);
      const { range } = source.getIn(path, true) as { range: [start: number, end: number, after: number] };
      return { start: range[0], end: range[1], jws };
    }),
  );
  return replacements
    .sort((one, other) => other.start - one.start)
    .reduce((all, { start, end, jws }) => `${all.slice(0, start)}"${jws}"${all.slice(end)}`, text);
}

export function exampleKeys(): { [signer: string]: JWK } {
  return (JSON.parse(readFileSync(KEYS, "utf8")) as { keys: { [signer: string]: JWK } }).keys;
}

export async function exampleKeyPairs(): Promise<{ [signer: string]: SigningKey }> {
  const imported = Object.entries(exampleKeys()).map(async ([signer, key]) => [signer, await importKeyPair(key)]);
  return Object.fromEntries(await Promise.all(imported));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = readFileSync(CONTRACT, "utf8");
  const renewed = await renewedContract(text, await exampleKeyPairs());
  if (process.argv.includes("--write")) writeFileSync(CONTRACT, renewed);
  else if (renewed !== text) {
    console.error("openapi/dcm.v1.yaml: example tokens do not carry the examples of their claims");
    process.exitCode = 1;
  }
}
