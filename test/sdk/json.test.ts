import { expect, test } from "vitest";
import { memberNamedTwice } from "../../src/sdk/json.ts";

test.each<[what: string, text: string, member: string | undefined]>([
  ["nothing twice", '{"a":1,"b":{"a":2}}', undefined],
  ["the same in other spacing", '{ "a" : 1 , "b" : [ {"a":1}, {"a":2} ] }', undefined],
  ["a name beside itself", '{"a":1,"a":1}', "a"],
  ["in an object of an object", '{"fri":{"frn":"x","frn":"y"}}', "fri.frn"],
  ["in an object of a list", '{"list":[{"a":1},{"b":1,"b":2}]}', "list.b"],
  ["written otherwise", '{"amt":1,"\\u0061mt":2}', "amt"],
  ["with a colon, a quote and a bracket in its texts", '{"a":"x:{\\"a\\":1}","b":"]","c":"\\\\"}', undefined],
  ["after such texts", '{"a":"\\\\\\":","b":1, "a":2}', "a"],
  ["after a text that is a bracket", '{"a":"{","b":1, "b":2}', "b"],
  ["the name of a prototype", '{"__proto__":1,"__proto__":2}', "__proto__"],
  ["an empty name", '{"":1,"":2}', ""],
  ["deeper than the stack", `{"b":${"[".repeat(30_000)}${"]".repeat(30_000)},"b":1}`, "b"],
  [
    "deeper than the stack, to be printed, too",
    `{"b":${'{"0":'.repeat(30_000)}1${"}".repeat(30_000)},"c":1}`,
    undefined,
  ],
  ["with white space before its colons", '{"a" :1,"a" \n\t:2}', "a"],
  ["a long way in", `${'{"a":'.repeat(500)}{"b":1,"b":2}${"}".repeat(500)}`, `${"a.".repeat(500)}b`],
])("%s", (_what, text, member) => {
  expect(memberNamedTwice(text, JSON.parse(text))).toBe(member);
});
