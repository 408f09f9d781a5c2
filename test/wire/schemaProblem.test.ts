import { describe, expect, test } from "vitest";
import { problemWords, type SchemaProblem } from "../../gen/rest/operations.ts";
import { codeOfField, contractProblem } from "../../src/wire/schemaProblem.ts";

const problem = (change: Partial<SchemaProblem>): SchemaProblem => ({
  ...{ instancePath: "/amt", schemaPath: "#/properties/amt/x", keyword: "x", params: {} },
  ...change,
});

describe("a problem becomes a sentence that names the field", () => {
  test.each<[keyword: string, params: Record<string, unknown>, sentence: string]>([
    ["pattern", {}, "is malformed"],
    ["enum", { allowedValues: ["a", "b"] }, "must be one of a, b"],
    ["type", { type: "string" }, "must be string"],
    ["type", { type: ["string", "null"] }, "must be string or null"],
    ["exclusiveMinimum", { limit: 1 }, "must be above 1"],
    ["minimum", { limit: 2 }, "must be at least 2"],
    ["maximum", { limit: 3 }, "must be at most 3"],
    ["minLength", { limit: 4 }, "must have at least 4 characters"],
    ["maxLength", { limit: 5 }, "must have at most 5 characters"],
    ["oneOf", {}, "must have one of its documented forms, not two at once"],
    ["format", { format: "uuid" }, "must be a uuid"],
  ])("%s %j", (keyword, params, sentence) => {
    const said = contractProblem(problem({ keyword, params, message: "said by the validator" }), {});
    expect(said).toEqual({ code: "INVALID_REQUEST", text: `amt ${sentence}`, field: "amt" });
  });

  test("a rule without a sentence of ours is said in the validator's words, and else is only malformed", () => {
    expect(contractProblem(problem({ message: "must be even" }), {}).text).toBe("amt must be even");
    expect(contractProblem(problem({}), {}).text).toBe("amt is malformed");
  });

  test("a field that is missing is named with the path to it", () => {
    const missing = { keyword: "required", params: { missingProperty: "frn" } };
    expect(contractProblem(problem({ ...missing, instancePath: "/fri/0" }), {})).toMatchObject({
      text: "fri.0.frn is missing",
      field: "fri.0.frn",
    });
    expect(contractProblem(problem({ ...missing, instancePath: "" }), {})).toMatchObject({ text: "frn is missing" });
  });

  test("what is wrong with the whole names no field", () => {
    const whole = problem({ instancePath: "", keyword: "type", params: { type: "object" } });
    expect(contractProblem(whole, {})).toEqual({ code: "INVALID_REQUEST", text: "the request must be object" });
    expect(contractProblem(undefined, {})).toEqual({ code: "INVALID_REQUEST", text: "the request is malformed" });
  });

  const iban = "#/components/schemas/Iban";
  test.each([
    ["pattern", `amt ${problemWords[iban]}`],
    ["minLength", `amt ${problemWords[iban]}`],
    ["maxLength", "amt must have at most 29 characters"],
  ])("the contract's own sentence comes first, except for a text that is too long: %s", (keyword, text) => {
    const found = problem({ keyword, schemaPath: `${iban}/${keyword}`, params: { limit: 29 } });
    expect(contractProblem(found, {}).text).toBe(text);
  });
});

describe("the code is that of the field in the contract", () => {
  const codes = { "/amt": "INVALID_AMOUNT", "/debtor/debtor_name": "INVALID_DEBTOR_NAME" };
  test.each([
    ["amt", "INVALID_AMOUNT"],
    ["debtor.debtor_name", "INVALID_DEBTOR_NAME"],
    ["debtor", "INVALID_REQUEST"],
    ["constructor", "INVALID_REQUEST"],
    ["", "INVALID_REQUEST"],
  ])("%s: %s", (field, code) => {
    expect(codeOfField(field, codes)).toBe(code);
    expect(contractProblem(problem({ instancePath: field && `/${field.replaceAll(".", "/")}` }), codes).code).toBe(
      code,
    );
  });

  test("every object has members by birth, and none of them is a code", () => {
    const inherited = Object.create({ "/amt": "INHERITED" }) as Record<string, string>;
    expect(codeOfField("amt", inherited)).toBe("INVALID_REQUEST");
  });
});
