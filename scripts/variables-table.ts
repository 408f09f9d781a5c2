import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { variables } from "../src/config/variables.ts";

export const CONFIGURATION = join(import.meta.dirname, "../docs/configuration.md");

/** The table of docs/configuration.md, from the table that the program itself reads. */
export function variablesMarkdown(): string {
  const rows = variables.map(({ name, fallback, help }) => {
    const value = fallback === "" ? "–" : `\`${fallback}\``;
    return `| \`${name}\` | ${value} | ${help} |`;
  });
  return ["| variable | default | what it says |", "|---|---|---|", ...rows].join("\n");
}

/** The page with its table renewed; everything else stays as it is. */
export async function renewConfiguration(): Promise<string> {
  const text = await readFile(CONFIGURATION, "utf8");
  const between = /(<!-- variables -->\n)[\s\S]*?(<!-- \/variables -->)/;
  return text.replace(between, (_, start: string, end: string) => `${start}${variablesMarkdown()}\n${end}`);
}

if (process.argv.includes("--write")) await writeFile(CONFIGURATION, await renewConfiguration());
