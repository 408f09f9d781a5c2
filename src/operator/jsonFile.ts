import { type DescMessage, fromJson, type MessageShape } from "@bufbuild/protobuf";
import { WrongCall } from "../commandLine.ts";
import { keysAsText } from "../participantJson.ts";
import type { Call } from "./action.ts";

// Reading files of operators, or standard input for "-".

export async function readJson(call: Call, path: string): Promise<unknown> {
  let text: string;
  try {
    text = await call.readText(path);
  } catch (error) {
    throw new WrongCall(`${path} cannot be read: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WrongCall(`${path} is not JSON: ${(error as Error).message}`);
  }
}

/** Reads a message in Protobuf's JSON form, in which keys may be written as objects instead of texts. */
export function messageIn<Schema extends DescMessage>(
  path: string,
  schema: Schema,
  content: unknown,
): MessageShape<Schema> {
  try {
    return fromJson(schema, keysAsText(content));
  } catch (error) {
    throw new WrongCall(`${path} does not hold a ${schema.typeName} as JSON: ${(error as Error).message}`);
  }
}
