import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const text = (name: string) => readFileSync(join(import.meta.dirname, "../..", name), "utf8");

test("editors indent and break lines as the formatter does", () => {
  const { indentStyle, indentWidth, lineWidth } = JSON.parse(text("biome.json")).formatter;
  const [, everywhere = ""] = text(".editorconfig").split(/^\[.*\]$/m);
  expect(
    Object.fromEntries(
      everywhere
        .trim()
        .split("\n")
        .map((line) => line.split(" = ")),
    ),
  ).toMatchObject({
    indent_style: indentStyle,
    indent_size: String(indentWidth),
    max_line_length: String(lineWidth),
  });
});
