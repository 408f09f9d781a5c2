import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { claims as claimsTable } from "../../gen/rest/operations.ts";
import { validClaims } from "../../src/core/identity/claims.ts";
import { isRefusal } from "../../src/domain/errors.ts";
import { isWebUrl, lengthOf, textProblem, textRefusal } from "../../src/domain/text.ts";
import { exampleClaims } from "../rest/fixture.ts";
import { refusedTexts, refusedUrls, takenTexts, takenUrls } from "../support/texts.ts";

const example = exampleClaims("OrderClaims");
/** Whether an order with this is taken for one that its contract describes. */
const contractTakes = (claim: string, value: string) =>
  !isRefusal(validClaims("OrderClaims", { ...example, [claim]: value }));
const patternTakes = (value: string) => claimsTable.OrderClaims.validate({ ...example, ref: value });

describe("a text", () => {
  test.each(takenTexts)("is taken: %s", (_what, text) => {
    expect(textProblem(text, 140)).toBeUndefined();
    expect(contractTakes("ref", text)).toBe(true);
  });

  test.each(refusedTexts)("is refused: %s", (_what, text) => {
    expect(textProblem(text, 140)).toBeDefined();
  });

  test("is refused with what is wrong with it", () => {
    const refused = (text: string) => textRefusal("INVALID_PURPOSE", "prp", text, 3)?.message;
    expect([refused("four"), refused("a\u0085"), refused("\ud800"), refused(" ")]).toEqual([
      "prp must have at most 3 characters",
      "prp has a control character",
      "prp is not well-formed Unicode",
      "prp has no visible character",
    ]);
    expect(textRefusal("INVALID_PURPOSE", "prp", "\u{1f4b3}\u{1f4b3}\u{1f4b3}", 3)).toBeUndefined();
  });
});

/** Some of every block, and all of the blocks that have characters which alone are invisible. */
function* otherPlanes(): Generator<number> {
  for (let code = 0x10000; code <= 0x10ffff; code += 251) yield code;
  for (let code = 0x1d100; code < 0x1d200; code += 1) yield code;
  for (let code = 0xe0000; code < 0xe1000; code += 1) yield code;
}

describe("domain and contract agree", () => {
  test("about every character of the basic plane, alone and between others", () => {
    const differing: string[] = [];
    for (let code = 0; code <= 0xffff; code += 1) {
      const character = String.fromCharCode(code);
      // The pattern cannot speak of halves of a pair for every reader of it; the next test does.
      if (!character.isWellFormed()) continue;
      for (const text of [character, `a${character}b`, `\u00a0${character}\ufeff`]) {
        if (patternTakes(text) !== (textProblem(text, 140) === undefined)) differing.push(code.toString(16));
      }
    }
    expect(differing).toEqual([]);
  });

  test("about characters of the other planes, but for those that alone are invisible", () => {
    const invisible: string[] = [];
    for (const code of otherPlanes()) {
      const text = String.fromCodePoint(code);
      const [domain, pattern] = [textProblem(text, 140) === undefined, patternTakes(text)];
      expect(pattern).toBe(true);
      if (!domain) invisible.push(text);
    }
    expect(invisible).toContain("\u{e0041}");
    for (const text of invisible) expect(text).toMatch(/^[\p{Cf}\p{Default_Ignorable_Code_Point}]$/u);
  });

  test("about whatever is put together", () => {
    const special = fc.constantFrom(
      "\u0000",
      "\n",
      "\u0085",
      "\u2028",
      "\u200b",
      "\ufeff",
      "\u00a0",
      " ",
      "\ud83d",
      "é",
      "💳",
    );
    const unit = fc.oneof(fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), special, special);
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 20 }), (units) => {
        const text = units.join("");
        // Alone such a character is refused by the domain only.
        fc.pre(
          !/^[\p{Z}\p{Cf}\p{Default_Ignorable_Code_Point}]*$/u.test(text) || !/[\u{10000}-\u{10ffff}]/u.test(text),
        );
        expect(contractTakes("ref", text)).toBe(textProblem(text, 140) === undefined);
      }),
      { numRuns: 300 },
    );
  });

  test("about how long a text is", () => {
    for (const character of ["a", "Я", "💳"]) {
      for (const [claim, limit] of [
        ["ref", 140],
        ["prp", 420],
      ] as const) {
        for (const length of [limit, limit + 1]) {
          const text = character.repeat(length);
          expect(lengthOf(text)).toBe(length);
          expect([contractTakes(claim, text), textProblem(text, limit) === undefined]).toEqual(
            length > limit ? [false, false] : [true, true],
          );
        }
      }
    }
  });
});

describe("a URL that a browser is sent to", () => {
  test.each(takenUrls)("is taken: %s", (url) => {
    expect([isWebUrl(url), contractTakes("url", url)]).toEqual([true, true]);
  });

  test.each(refusedUrls)("is refused: %s", (url) => {
    expect(isWebUrl(url)).toBe(false);
  });

  test("is never refused by the contract where the domain takes it, and leads where it says", () => {
    const authority = fc.oneof(
      fc.domain(),
      fc.webAuthority({ withUserInfo: true, withIPv6: true }),
      fc.string({ maxLength: 12 }),
    );
    const url = fc
      .tuple(
        fc.constantFrom("http://", "https://", "HTTPS://", "ftp://", "//", ""),
        authority,
        fc.string({ maxLength: 8 }),
      )
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(url, (text) => {
        if (!isWebUrl(text)) return;
        expect(contractTakes("url", text)).toBe(true);
        const { protocol, username, password } = new URL(text);
        expect([username, password, ["http:", "https:"].includes(protocol)]).toEqual(["", "", true]);
      }),
      { numRuns: 300 },
    );
  });
});
