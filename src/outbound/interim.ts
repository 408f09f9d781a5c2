/**
 * Interim responses (1xx) come before the answer, asked for or not, and RFC 9110 has a client ignore them. undici takes an
 * unexpected `100 Continue` for a broken connection, so they are removed from what it reads.
 */
import type { Socket } from "node:net";

/** The error code of a connection that was closed because of what came before the answer. */
export const INTERIM_REFUSED_CODE = "INTERIM_REFUSED";

/** The most bytes of interim responses before one answer: nobody needs more, and an endless sequence of them is cut off here. */
const MAX_INTERIM_BYTES = 65_536;

/** One test per byte of the beginning of an interim status line: `HTTP/1.1 1xx`, then a blank or the end of the line. */
const beginning: readonly ((byte: number) => boolean)[] = [
  ...[..."HTTP/"].map(isChar),
  isDigit,
  isChar("."),
  isDigit,
  isChar(" "),
  isChar("1"),
  isDigit,
  isDigit,
  (byte) => byte === 0x20 || byte === CR || byte === LF,
];

const CR = 0x0d;
const LF = 0x0a;
const SWITCHING_PROTOCOLS = "101";

function isChar(char: string): (byte: number) => boolean {
  return (byte) => byte === char.charCodeAt(0);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/**
 * Removes interim responses from what a connection reads, however they are split into chunks. At most the thirteen bytes that may
 * still become an interim status line are held back. Each request begins a new answer; requests are not pipelined.
 */
export function stripInterimResponses(socket: Socket): void {
  const read = socket.read.bind(socket);
  const write = socket.write.bind(socket);
  let reader = interimReader();
  let isAnswering = false;

  socket.write = ((...given: Parameters<Socket["write"]>) => {
    if (isAnswering) reader = interimReader();
    isAnswering = false;
    return write(...given);
  }) as Socket["write"];

  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk: Buffer | null = read(size);
      if (chunk === null || isAnswering) return chunk;
      const { rest, problem } = reader(chunk);
      if (problem !== undefined) {
        socket.destroy(Object.assign(new Error(problem), { code: INTERIM_REFUSED_CODE }));
        return null;
      }
      if (rest === undefined) continue;
      isAnswering = true;
      return rest;
    }
  };
}

/** `rest`: the bytes from the beginning of the real answer, once it is certain to be one. */
type Step = { rest?: Buffer; problem?: string };

function interimReader(): (chunk: Buffer) => Step {
  /** The bytes of a line that may still become an interim status line. */
  let held = Buffer.alloc(0);
  let isInHead = false;
  let isLineEmpty = false;
  let interimBytes = 0;

  /** Skips to the empty line that ends the head of the interim response; answers its position, or the chunk's length. */
  function skipHead(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at += 1) {
      if (bytes[at] === LF && isLineEmpty) {
        isInHead = false;
        return at + 1;
      }
      if (bytes[at] !== CR) isLineEmpty = bytes[at] === LF;
    }
    return bytes.length;
  }

  return (chunk) => {
    let bytes = isInHead ? chunk : Buffer.concat([held, chunk]);
    for (;;) {
      if (isInHead) {
        const end = skipHead(bytes, 0);
        interimBytes += end;
        bytes = bytes.subarray(end);
        if (interimBytes > MAX_INTERIM_BYTES)
          return { problem: `more than ${MAX_INTERIM_BYTES} bytes of interim answers` };
        if (isInHead) return {};
      }
      const seen = bytes.subarray(0, beginning.length);
      if (!seen.every((byte, place) => beginning[place]?.(byte))) return { rest: bytes };
      held = Buffer.from(seen);
      if (seen.length < beginning.length) return {};
      if (seen.toString("latin1", 9, 12) === SWITCHING_PROTOCOLS)
        return { problem: "101 to a request that asked for no other protocol" };
      isInHead = true;
      isLineEmpty = false;
      held = Buffer.alloc(0);
    }
  };
}
