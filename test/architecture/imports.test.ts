import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";

// The layout's rules as data. Modules are the folders and single files directly under src/, and gen/.

const root = resolve(import.meta.dirname, "../..");

/**
 * What a module may import of ours besides itself: a module, a folder or a file in it. Siblings that do not know each other meet
 * in app.ts.
 */
const allowedImports: Record<string, readonly string[] | "everything"> = {
  domain: ["gen/rest"],
  repeat: [],
  answerCache: [],
  db: ["domain", "repeat"],
  core: ["domain", "db", "sdk", "gen", "wire", "repeat", "answerCache"],
  rpc: ["core", "domain", "gen", "observe/tracing", "answerCache", "wire"],
  rest: ["domain", "gen", "observe/tracing", "wire", "repeat", "answerCache", "html"],
  wire: ["gen", "domain"],
  queue: ["gen/rest"],
  outbound: [],
  callbacks: ["core", "domain", "queue", "outbound", "sdk", "gen/rest", "observe/tracing", "answerCache", "wire"],
  chores: ["core", "domain", "queue", "repeat"],
  sdk: ["gen/rest"],
  sandbox: ["commandLine", "sdk", "gen", "html"],
  html: [],
  config: ["domain", "outbound", "masterKey"],
  observe: ["core", "db", "domain", "queue", "outbound"],
  operator: ["commandLine", "gen", "rpc", "domain", "participantJson", "wire"],
  participantJson: [],
  participantsFile: ["core", "domain", "gen", "observe/log", "participantJson", "rpc"],
  secretFile: [],
  masterKey: ["core", "sdk", "secretFile"],
  platformKeys: ["core", "db", "observe/log", "masterKey"],
  keyRecovery: ["config", "core", "db", "masterKey"],
  operatorToken: ["core", "domain", "secretFile"],
  app: "everything",
  commandLine: [],
  commands: "everything",
  main: "everything",
};

/** Of Node's cryptography all that REST needs: digests are no signatures. */
const restMayUseOfCrypto = ["createHash", "randomUUID"];

/** Programs that talk to a person at a terminal; everything else writes to the one structured logger. */
const mayUseConsole = /^src\/(main\.ts$|commands\/|sandbox\/|operator\/)/;
const mayReadEnvironment = "src/config.ts";

/** What a reader keeps in mind: a function fits on a screen, a file is read in one go. */
const mostLines = { ofFile: 300, ofFunction: 70 };
/** A migration is append-only and is as long as its change. */
const migrations = "src/db/migrations/";

type Source = { path: string; module: string; code: ts.SourceFile };

const sources: Source[] = globSync("src/**/*.ts", { cwd: root }).map((path) => ({
  path,
  module: moduleOf(path),
  code: ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true),
}));

/** src/core/batch.ts → core, src/app.ts → app, gen/rest/types.ts → gen/rest. */
function moduleOf(path: string): string {
  const [top = "", second = "", ...rest] = path.split("/");
  if (top === "gen") return rest.length > 0 ? `gen/${second}` : "gen";
  return second.replace(/\.ts$/, "");
}

const foundBelow = new WeakMap<ts.Node, ts.Node[]>();

/** A node and everything below it. Every rule looks through the same files, so each is gone through once. */
function descendants(node: ts.Node): ts.Node[] {
  const known = foundBelow.get(node);
  if (known) return known;
  const found: ts.Node[] = [];
  const visit = (child: ts.Node): void => {
    found.push(child);
    ts.forEachChild(child, visit);
  };
  visit(node);
  foundBelow.set(node, found);
  return found;
}

const specifiersOf = new WeakMap<Source, string[]>();

function specifiers(source: Source): string[] {
  const found = specifiersOf.get(source) ?? findSpecifiers(source);
  specifiersOf.set(source, found);
  return found;
}

/** Every module specifier: import and export declarations, import() calls and import types. */
function findSpecifiers({ code }: Source): string[] {
  return descendants(code).flatMap((node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return literal(node.moduleSpecifier);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      return literal(node.arguments[0]);
    }
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return literal(node.argument.literal);
    return [];
  });
}

function literal(node: ts.Node | undefined): string[] {
  return node && ts.isStringLiteralLike(node) ? [node.text] : [];
}

function ownImports(source: Source): string[] {
  return specifiers(source)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => relative(root, resolve(root, dirname(source.path), specifier)));
}

const importsOf = new Map(sources.map((source) => [source.path, ownImports(source)]));

/** These sources and all of ours that they import, directly or not. */
function withImported(first: readonly Source[]): Source[] {
  const reached = new Set(first);
  for (const source of reached) {
    const paths = importsOf.get(source.path) ?? [];
    for (const found of sources) if (paths.includes(found.path)) reached.add(found);
  }
  return [...reached];
}

/** What a source takes of a package: the names of its imports, or `*` for the whole. */
function namesFrom({ code }: Source, wanted: string): string[] {
  return code.statements.flatMap((node) => {
    if (!ts.isImportDeclaration(node) || literal(node.moduleSpecifier)[0] !== wanted) return [];
    const bindings = node.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings)) return ["*"];
    return bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
  });
}

function isAllowed(from: string, path: string): boolean {
  const allowed = allowedImports[from] ?? [];
  if (allowed === "everything" || from === moduleOf(path)) return true;
  const place = path.replace(/^src\//, "").replace(/\.ts$/, "");
  return allowed.some((name) => place === name || place.startsWith(`${name}/`));
}

/** Uses such as process.env (object and property), or anything of an object. */
function accesses(source: Source, object: string, property?: string): string[] {
  return descendants(source.code)
    .filter(ts.isPropertyAccessExpression)
    .filter((node) => node.expression.getText() === object && (!property || node.name.text === property))
    .map((node) => `${source.path}: ${node.getText()}`);
}

describe("imports", () => {
  test("every module under src/ has a row in the table", () => {
    const missing = sources.map(({ module }) => module).filter((module) => !(module in allowedImports));
    expect([...new Set(missing)]).toEqual([]);
  });

  test.each(Object.entries(allowedImports))("%s imports only what its row allows", (module) => {
    const forbidden = sources
      .filter((source) => source.module === module)
      .flatMap((source) =>
        ownImports(source)
          .filter((path) => !isAllowed(module, path))
          .map((path) => `${source.path} → ${path}`),
      );
    expect(forbidden).toEqual([]);
  });

  test("src/ imports nothing of tests, benchmarks and scripts", () => {
    const outside = sources.flatMap((source) =>
      ownImports(source)
        .filter((path) => !/^(src|gen|package\.json)\b/.test(path))
        .map((path) => `${source.path} → ${path}`),
    );
    expect(outside).toEqual([]);
  });

  test("rest reaches nothing that signs or verifies, directly or not: it can only hand on what was signed", () => {
    const edge = withImported(sources.filter(({ module }) => module === "rest"));
    const signing = edge.flatMap((source) => [
      ...specifiers(source)
        .filter((specifier) => /^(jose$|jsonwebtoken$|crypto$)|\/sdk\//.test(specifier))
        .map((specifier) => `${source.path} → ${specifier}`),
      ...namesFrom(source, "node:crypto")
        .filter((name) => !restMayUseOfCrypto.includes(name))
        .map((name) => `${source.path} → node:crypto ${name}`),
      ...accesses(source, "crypto", "subtle"),
      ...accesses(source, "globalThis", "crypto"),
    ]);
    expect(signing).toEqual([]);
    // What it looks through must be what it is about.
    expect(edge.map(({ path }) => path)).toContain("src/wire/order.ts");
  });

  test("of what is generated domain imports the data of callbacks and limits alone, which import nothing themselves", () => {
    const generated = sources
      .filter(({ module }) => module === "domain")
      .flatMap((source) => ownImports(source).filter((path) => path.startsWith("gen/")));
    const data = ["gen/rest/limits.ts", "gen/rest/webhooks.ts"];
    expect([...new Set(generated)].sort()).toEqual(data);
    for (const path of data) expect(readFileSync(join(root, path), "utf8")).not.toMatch(/\b(import|require)\b/);
  });

  test("domain imports no package and nothing of Node: it is pure", () => {
    const impure = sources
      .filter(({ module }) => module === "domain")
      .flatMap((source) =>
        specifiers(source)
          .filter((specifier) => !specifier.startsWith("."))
          .map((specifier) => `${source.path} → ${specifier}`),
      );
    expect(impure).toEqual([]);
  });
});

/** The shortest way of imports, those of types included, from a file back to itself. */
function circleOf(start: string): string[] {
  const importedBy = new Map<string, string>();
  const reached = [start];
  for (const path of reached) {
    for (const next of importsOf.get(path) ?? []) {
      if (next === start) return [...wayTo(path, importedBy), start];
      if (importedBy.has(next)) continue;
      importedBy.set(next, path);
      reached.push(next);
    }
  }
  return [];
}

function wayTo(path: string, importedBy: ReadonlyMap<string, string>): string[] {
  const before = importedBy.get(path);
  return before === undefined ? [path] : [...wayTo(before, importedBy), path];
}

describe("what a reader can hold", () => {
  test("no file of src/ imports itself by way of others, types included", () => {
    const circles = sources.map(({ path }) => circleOf(path)).filter((circle) => circle.length > 0);
    expect(circles.map((circle) => circle.join(" → "))).toEqual([]);
  });

  test(`no file of src/ is longer than ${mostLines.ofFile} lines, migrations apart`, () => {
    const long = sources
      .map(({ path, code }) => ({ path, lines: code.getLineAndCharacterOfPosition(code.end).line }))
      .filter(({ path, lines }) => lines > mostLines.ofFile && !path.startsWith(migrations));
    expect(long.map(({ path, lines }) => `${path}: ${lines}`)).toEqual([]);
  });

  test(`no function of src/ is longer than ${mostLines.ofFunction} lines`, () => {
    const long = sources.flatMap(({ path, code }) =>
      descendants(code)
        .filter((node): node is ts.FunctionLikeDeclaration => ts.isFunctionLike(node) && "body" in node)
        .map((node) => {
          const { line } = code.getLineAndCharacterOfPosition(node.getStart());
          return { line, lines: code.getLineAndCharacterOfPosition(node.end).line - line + 1 };
        })
        .filter(({ lines }) => lines > mostLines.ofFunction)
        .map(({ line, lines }) => `${path}:${line + 1}: ${lines}`),
    );
    expect(long).toEqual([]);
  });
});

describe("one place for each kind of access to the outside", () => {
  test("only src/config.ts reads process.env", () => {
    const readers = sources
      .filter(({ path }) => path !== mayReadEnvironment)
      .flatMap((source) => accesses(source, "process", "env"));
    expect(readers).toEqual([]);
  });

  test("only the command line and the sandbox write with console", () => {
    const writers = sources
      .filter(({ path }) => !mayUseConsole.test(path))
      .flatMap((source) => accesses(source, "console"));
    expect(writers).toEqual([]);
  });

  test("domain reads no clock and draws no random value: both come in as arguments", () => {
    const impure = sources
      .filter(({ module }) => module === "domain")
      .flatMap((source) => [
        ...accesses(source, "Date", "now"),
        ...accesses(source, "Math", "random"),
        ...accesses(source, "crypto"),
        ...descendants(source.code)
          .filter(ts.isNewExpression)
          .filter((node) => node.expression.getText() === "Date" && (node.arguments?.length ?? 0) === 0)
          .map((node) => `${source.path}: ${node.getText()}`),
      ]);
    expect(impure).toEqual([]);
  });
});
