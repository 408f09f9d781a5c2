// Writes THIRD_PARTY_NOTICES.md: every package that a running gateway needs, its licence and whom it is of. Without --write
// it only says whether the file is as it has to be. It reads the lock file and what is installed, and nothing else.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const file = join(root, "THIRD_PARTY_NOTICES.md");

type LockEntry = { version?: string; license?: string; dev?: boolean; optional?: boolean };
type Package = { name: string; version: string; license: string; copyright: string[]; text: string };

const read = (path: string) => readFileSync(join(root, path), "utf8");

/** "Copyright (c) 2014 Somebody", at the beginning of a line; the licences themselves speak of copyright in other ways. */
const copyrightLine = /^\W*(?:copyright\W+(?:\(c\)|©|\d{4})|(?:\(c\)|©)\s+\d{4}).*$/i;

/** Headings say what the table says already. */
const headingLine = /^\W*(?:the )?(?:mit|isc|bsd|3-clause bsd)\W.*licen[cs]e\W*(?:\(.*\)\W*)?$|^\W*licen[cs]e\W*$/i;

function packages(): Package[] {
  const entries: Record<string, LockEntry> = JSON.parse(read("package-lock.json")).packages;
  const needed = Object.entries(entries).filter(([path, { dev }]) => path !== "" && !dev);
  const found = needed.map(([path, entry]) => packageAt(path, entry));
  const byName = new Map(found.map((one) => [`${one.name} ${one.version}`, one]));
  return [...byName.keys()].sort().map((key) => byName.get(key) as Package);
}

function packageAt(path: string, { version = "", license = "", optional = false }: LockEntry): Package {
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  // Which optional packages are installed depends on the machine, and this file must not.
  if (optional) return { name, version, license, copyright: [], text: "" };
  const lines = licenceText(path).split(/\r?\n/);
  const copyright = lines.filter((line) => copyrightLine.test(line)).map((line) => line.replace(/^[\s*#]+/, ""));
  const body = lines.filter((line) => !copyrightLine.test(line) && !headingLine.test(line));
  return {
    name,
    version,
    license,
    copyright: copyright.length > 0 ? copyright : authors(path),
    text: body.join("\n").trim(),
  };
}

/** The file that a package has for it, or what its README says under such a heading. */
function licenceText(path: string): string {
  const names = readdirSync(join(root, path));
  const own = names.filter((name) => /^(licen[cs]e|copying|notice)/i.test(name)).sort();
  if (own.length > 0) return own.map((name) => read(join(path, name))).join("\n\n");
  const readme = names.find((name) => /^readme/i.test(name));
  const [, section = ""] = /^#+ *licen[cs]e\b[^\n]*\n([\s\S]*)/im.exec(readme ? read(join(path, readme)) : "") ?? [];
  return section.includes("Permission is hereby granted") ? section : "";
}

/** Whom a package is of by its own description, where no line says it. */
function authors(path: string): string[] {
  const { author = "" } = JSON.parse(read(join(path, "package.json")));
  return [author.name ?? author].filter(Boolean);
}

function notices(): string {
  const all = packages();
  const texts = new Map<string, { text: string; of: Package[] }>();
  for (const one of all) {
    if (one.text === "") continue;
    const key = one.text.replace(/[\W_]+/g, " ").toLowerCase();
    const same = texts.get(key) ?? { text: one.text, of: [] };
    same.of.push(one);
    texts.set(key, same);
  }
  const rows = all.map(({ name, version, license, copyright }) => {
    const whose = copyright.join("; ").replaceAll("|", "\\|").replaceAll("<", "&lt;");
    return `| ${name} | ${version} | ${license} | ${whose || "–"} |`;
  });
  const sections = [...texts.values()].map(
    ({ text, of }, index) =>
      `### Text ${index + 1}\n\n${of.map(({ name, version }) => `${name} ${version}`).join(", ")}\n\n\`\`\`\`text\n${text}\n\`\`\`\``,
  );
  return `${[
    "# Third-party notices",
    "<!-- Written by scripts/third-party-notices.ts from package-lock.json and the installed packages. Do not edit. -->",
    [
      "What a running gateway needs beside its own code, which is under [LICENSE](LICENSE); tools for development are not listed.",
      "A package that carries no text of its licence, or that is for some machines only, is under the usual text of that name:",
      "Apache-2.0 in [LICENSE](LICENSE), the others below.",
    ].join("\n"),
    "## Packages",
    ["| package | version | licence | copyright |", "|---|---|---|---|", ...rows].join("\n"),
    "## Texts of the licences",
    ...sections,
  ].join("\n\n")}\n`;
}

const wanted = notices();
if (process.argv.includes("--write")) writeFileSync(file, wanted);
else if (!existsSync(file) || readFileSync(file, "utf8") !== wanted) {
  console.error("THIRD_PARTY_NOTICES.md is not what the installed packages say");
  process.exitCode = 1;
}
