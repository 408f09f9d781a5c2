import { randomUUID } from "node:crypto";
import { createServer, type RequestListener, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import { requestIdHeader } from "../../gen/rest/operations.ts";
import { type ErrorCode, RestRefusal, wholeAnswer } from "./errors.ts";
import { pathOf } from "./requestUrl.ts";

/** How long a request may take to arrive, its headers within that, and how long a connection may be idle between two requests. */
const timeouts = { keepAliveTimeout: 65_000, requestTimeout: 30_000, headersTimeout: 20_000 };

/** The refusals for what Node's parser rejects before there is a request, by its error code. */
const refusedByNode: { readonly [code: string]: ErrorCode } = {
  ERR_HTTP_REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
  HPE_HEADER_OVERFLOW: "HEADERS_TOO_LARGE",
};

/** An HTTP server that answers as the contract says even requests that are too slow, too large or not HTTP. */
export function createRestServer(app: RequestListener, log: Logger, change: Partial<typeof timeouts> = {}): Server {
  const server = createServer({ ...timeouts, ...change }, app);
  /** The last response of each connection: a request whose body is too slow is answered in the error form of its path. */
  const answers = new WeakMap<object, ServerResponse>();
  server.prependListener("request", (request, response) => answers.set(request.socket, response));

  server.on("checkExpectation", (request, response) => {
    const { status, headers, text } = wholeAnswer(new RestRefusal("EXPECTATION_FAILED"), pathOf(request.url ?? ""));
    const requestId = randomUUID();
    response.writeHead(status, { ...headers, [requestIdHeader]: requestId }).end(text);
    log.info({ method: request.method, route: "none", status, requestId }, "request");
  });

  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const code = refusedByNode[error.code ?? ""] ?? (error.code?.startsWith("HPE_") ? "INVALID_REQUEST" : undefined);
    const current = answers.get(socket);
    const isUnderWay = current !== undefined && !current.writableFinished;
    // Nobody can read an answer any more, or one has begun and cannot be taken back.
    if (code === undefined || !socket.writable || (isUnderWay && current.headersSent)) return void socket.destroy();
    const refusal = new RestRefusal(code, code === "INVALID_REQUEST" ? { text: "the request is not HTTP" } : {});
    const { status, headers, text } = wholeAnswer(refusal, isUnderWay ? pathOf(current.req.url ?? "") : "");
    const requestId = randomUUID();
    const lines = Object.entries({ ...headers, [requestIdHeader]: requestId, Connection: "close" });
    const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines.map((line) => line.join(": "))];
    socket.end(`${head.join("\r\n")}\r\n\r\n${text}`, () => socket.destroy());
    const address = (socket as Socket).remoteAddress;
    log.info({ route: "none", status, code, address, requestId }, "request");
  });
  return server;
}
