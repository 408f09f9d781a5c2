import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { variables } from "../src/config/variables.ts";

export const README = join(import.meta.dirname, "../README.md");

/** The configuration table of the README, from the table that the program itself reads. */
export function variablesMarkdown(): string {
  const rows = variables.map(({ name, fallback, help }) => {
    const value = fallback === "" ? "–" : `\`${fallback}\``;
    return `| \`${name}\` | ${value} | ${help} |`;
  });
  return ["| variable | default | what it says |", "|---|---|---|", ...rows].join("\n");
}

/** The README with its table renewed; everything else stays as it is. */
export async function renewReadme(): Promise<string> {
  const text = await readFile(README, "utf8");
  const between = /(<!-- variables -->\n)[\s\S]*?(<!-- \/variables -->)/;
  return text.replace(between, (_, start: string, end: string) => `${start}${variablesMarkdown()}\n${end}`);
}

if (process.argv.includes("--write")) await writeFile(README, await renewReadme());
