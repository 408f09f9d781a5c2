import { isUtf8 } from "node:buffer";
import { MIMEType } from "node:util";
import express, { type RequestHandler } from "express";
import { limits } from "../../gen/rest/limits.ts";
import { type OperationId, operations } from "../../gen/rest/operations.ts";
import { RestRefusal } from "./errors.ts";
import { bodyOf, keepBodyBytes } from "./requestBytes.ts";
import { validateBareBody } from "./validate.ts";

/** Accepted charsets: UTF-8, and ASCII, which is a part of it. */
const charsets = new Set(["utf-8", "utf8", "us-ascii"]);

/** Compressed bodies are refused: 64 KiB could unpack to anything (decompression bomb). */
const readBytes = express.raw({
  limit: limits.requestBodyBytes,
  inflate: false,
  type: () => true,
  verify: keepBodyBytes,
});

/** Reads a body in one of the forms that the contract declares; nothing is read for an operation without a body. */
export function bodyReaders(id: OperationId): RequestHandler[] {
  const { requestContentTypes, bodyRequired } = operations[id];
  if (requestContentTypes.length === 0) return [];
  const parse: RequestHandler = (request, _response, next) => {
    const bytes = bodyOf(request);
    const text = new TextDecoder().decode(bytes);
    const body = saysNothing(text, bodyRequired)
      ? undefined
      : bodyIn(id, { bytes, text }, request.headers["content-type"]);
    if (body === undefined && bodyRequired) throw new RestRefusal("INVALID_REQUEST", { text: "the body is missing" });
    request.body = body;
    next();
  };
  return [readBytes, parse];
}

/** Whether a body stands for none: clients write that in many ways, with or without a media type. */
function saysNothing(text: string, bodyRequired: boolean): boolean {
  const trimmed = text.trim();
  return trimmed === "" || trimmed === '""' || trimmed === "null" || (trimmed === "{}" && !bodyRequired);
}

function bodyIn(id: OperationId, { bytes, text }: { bytes: Uint8Array; text: string }, contentType = ""): object {
  const accepted: readonly string[] = operations[id].requestContentTypes;
  // Without a media type the body is taken for JSON.
  const type = mediaType(contentType === "" ? "application/json" : contentType);
  if (type === undefined || !accepted.includes(type.essence)) {
    throw new RestRefusal("UNSUPPORTED_MEDIA_TYPE", { text: `Content-Type must be ${oneOf(accepted)}` });
  }
  const charset = type.params.get("charset") ?? "utf-8";
  if (!charsets.has(charset.toLowerCase())) {
    throw new RestRefusal("UNSUPPORTED_MEDIA_TYPE", { text: "the charset in Content-Type must be utf-8" });
  }
  // A lenient decoder would replace invalid bytes, and make two different bodies equal.
  if (!isUtf8(bytes)) throw new RestRefusal("INVALID_REQUEST", { text: "the body is not UTF-8" });
  if (type.essence === "application/json") return objectIn(text, accepted);
  validateBareBody(id, text);
  // A bare token means the same as the JSON form with it.
  return { jwt: text.trim() };
}

function mediaType(header: string): MIMEType | undefined {
  try {
    return new MIMEType(header);
  } catch {
    return undefined;
  }
}

function oneOf(names: readonly string[]): string {
  return [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" or ");
}

function objectIn(text: string, accepted: readonly string[]): object {
  const value = parsed(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const problem = value === undefined ? "the body is not JSON" : "the body must be a JSON object";
    const isBare = /^\s*"?[\w-]+\.[\w-]+\./.test(text) && accepted.includes("application/jwt");
    const advice = isBare ? "; a bare JWS is sent as application/jwt" : "";
    throw new RestRefusal("INVALID_REQUEST", { text: problem + advice });
  }
  return value;
}

/** Undefined for invalid JSON, because no JSON text stands for it. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
