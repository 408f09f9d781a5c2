import { create, type DescMessage, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { Core } from "../core/core.ts";
import { noTracing, type Tracing } from "../observe/tracing.ts";
import { sendTrace } from "./clients.ts";
import { ourselves } from "./identify.ts";
import { type RpcLog, serverInterceptors } from "./interceptors.ts";
import { coreServices, type ServiceRow } from "./routes.ts";

type Call = (request: UnaryRequest) => Promise<UnaryResponse>;
type Handler = (message: Message, context: HandlerContext) => Promise<Record<string, unknown>>;

/** Calls within this process are never cancelled: what was accepted is finished, even if the caller no longer waits. */
const neverAborted = new AbortController().signal;

/** Calls the core of this process: the same handlers and error mapping as over the network. */
export function inProcessTransport(core: Core, log: RpcLog, tracing: Tracing = noTracing): Transport {
  const { identity } = core;
  const interceptors = [sendTrace(tracing), ...serverInterceptors({ log, identify: ourselves, identity, tracing })];
  return createInProcessTransport(coreServices(core), interceptors);
}

/**
 * Calls the handlers of this process directly: the same messages, interceptors and errors as over the network, without
 * writing and reading bytes, which would cost a third of the whole path of a payment message.
 */
export function createInProcessTransport(
  services: readonly ServiceRow[],
  interceptors: readonly Interceptor[],
): Transport {
  const handlers = new Map(services.map(({ service, handlers }) => [service.typeName, handlers]));
  const handle: Call = async (request) => {
    const { service, method } = request;
    const handler = handlers.get(service.typeName)?.[method.localName] as Handler | undefined;
    if (handler === undefined) throw new ConnectError(`${service.typeName}/${method.name}`, Code.Unimplemented);
    const { contextValues: values, signal, header: requestHeader } = request;
    const context = { values, signal, requestHeader, service, method } as unknown as HandlerContext;
    const message = create(method.output, await handler(request.message, context));
    return { stream: false, service, method, header: new Headers(), trailer: new Headers(), message };
  };
  const call = interceptors.reduceRight<Call>((next, interceptor) => interceptor(next as never) as Call, handle);
  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: Parameters<Transport["unary"]>[3],
      input: object,
      contextValues: UnaryRequest["contextValues"] | undefined,
    ) {
      const request = {
        stream: false,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: `in-process:///${method.parent.typeName}/${method.name}`,
        signal: signal ?? neverAborted,
        header: new Headers(header),
        contextValues: contextValues ?? createContextValues(),
        message: create(method.input, input as never),
      } as unknown as UnaryRequest;
      return (await withDeadline(call(request), timeoutMs)) as never as UnaryResponse<I, O>;
    },
    stream() {
      throw new ConnectError("the core has unary calls only", Code.Unimplemented);
    },
  };
}

async function withDeadline<T>(work: Promise<T>, timeoutMs: number | undefined): Promise<T> {
  if (timeoutMs === undefined) return work;
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConnectError("no answer in time", Code.DeadlineExceeded)), timeoutMs);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
