// What the check runs, in this order.

export type Step = { group: string; name: string; command: readonly string[]; whatToDo: string };

export const steps: readonly Step[] = [
  {
    group: "generate",
    name: "generated files are up to date",
    command: ["node", "scripts/generate.ts", "--check"],
    whatToDo: "Run `npm run generate` and commit gen/ together with the contract it comes from.",
  },
  {
    group: "generate",
    name: "the notices name every package that a running gateway needs",
    command: ["node", "scripts/third-party-notices.ts"],
    whatToDo: "Run `node scripts/run.mjs scripts/third-party-notices.ts --write` and commit THIRD_PARTY_NOTICES.md.",
  },
  {
    group: "proto",
    name: "Protobuf lint",
    command: ["buf", "lint"],
    whatToDo: "Follow the rule named above; buf.yaml lists the rule sets.",
  },
  {
    group: "proto",
    name: "Protobuf format",
    command: ["buf", "format", "--diff", "--exit-code"],
    whatToDo: "Run `npx buf format --write`.",
  },
  {
    group: "proto",
    name: "Protobuf compatibility with the last release",
    command: ["buf", "breaking", "--against", "contract/baseline/dcm.v1.binpb"],
    whatToDo: "Add fields or RPCs instead of changing or removing what clients already use.",
  },
  {
    group: "openapi",
    name: "OpenAPI lint",
    command: ["redocly", "lint", "openapi/dcm.v1.yaml"],
    whatToDo: "Correct openapi/dcm.v1.yaml at the place named above.",
  },
  {
    group: "openapi",
    name: "lint of the flows and of their signer",
    command: ["redocly", "lint", "openapi/dcm.arazzo.yaml", "openapi/dcm.signer.yaml"],
    whatToDo: "Correct the document at the place named above.",
  },
  {
    group: "openapi",
    name: "OpenAPI lint, by a second reader",
    command: ["spectral", "lint", "--fail-severity=hint", "openapi/dcm.v1.yaml"],
    whatToDo: "Correct openapi/dcm.v1.yaml at the place named above; .spectral.yaml lists the rule set.",
  },
  {
    group: "openapi",
    name: "OpenAPI compatibility with the last release",
    command: ["redocly", "diff", "contract/baseline/dcm.v1.yaml", "openapi/dcm.v1.yaml"],
    whatToDo: "Add what is new beside what clients already use; docs/compatibility.md says what breaks.",
  },
  {
    group: "openapi",
    name: "example tokens are signed anew from their claims",
    command: ["node", "scripts/example-tokens.ts", "--check"],
    whatToDo: "Run `node scripts/run.mjs scripts/example-tokens.ts --write`.",
  },
  {
    group: "types",
    name: "types",
    // Of the two that are installed the quick one; openapi-typescript needs the other.
    command: ["node", "node_modules/typescript7/bin/tsc", "--noEmit"],
    whatToDo: "Correct the types at the places named above.",
  },
  {
    group: "drift",
    name: "no change of the contract goes unnoticed",
    command: ["node", "scripts/contract-drift.ts"],
    whatToDo:
      "Tie what is named above to what is generated from the contract, so that the compiler or a check sees it.",
  },
  {
    group: "style",
    name: "format and lint rules (Biome)",
    command: ["biome", "check", "--error-on-warnings"],
    whatToDo: "Run `npx biome check --write`; correct by hand what it leaves.",
  },
  {
    group: "dead code",
    name: "no export that nobody imports, no file and no package that nobody uses (knip)",
    command: ["knip", "--no-progress"],
    whatToDo: "Remove the word `export`, or what it stands before when nothing uses it.",
  },
  {
    group: "dead code",
    name: "no code that only tests use (knip)",
    command: ["knip", "--no-progress", "--production", "--config", "knip.production.json"],
    whatToDo: "Remove what is named above together with its tests, or use it.",
  },
  {
    group: "tests",
    name: "tests",
    command: ["vitest", "run"],
    whatToDo: "Run one file again with `npx vitest run <file>`; the first failure above is the best start.",
  },
];

/** Quiet tools: no telemetry, no update notices, no colours that a log would keep. */
export const quietTools = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true", DO_NOT_TRACK: "1" };
