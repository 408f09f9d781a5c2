import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  type Context,
  type Span as OtelSpan,
  SpanKind as OtelSpanKind,
  ROOT_CONTEXT,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Span, SpanAttributes, SpanKind, Tracing } from "./tracing.ts";

const kinds = {
  server: OtelSpanKind.SERVER,
  client: OtelSpanKind.CLIENT,
  consumer: OtelSpanKind.CONSUMER,
} as const satisfies Record<SpanKind, OtelSpanKind>;

/** How long the stop waits for a collector that does not answer. */
const stopTimeoutMs = 3_000;
const exportTimeoutMs = 5_000;

/** The most spans in memory; further ones are dropped, so an absent collector costs some MB and nothing else. */
const maxQueueSize = 4_096;

/**
 * Traces that go to the OTLP/HTTP collector at this base URL. Nothing is registered globally, so that several gateways in one
 * process (tests) have separate traces.
 */
export function startOtlpTracing(endpoint: string, service: string): Tracing {
  const exporter = new OTLPTraceExporter({ url: `${endpoint}/v1/traces`, timeoutMillis: exportTimeoutMs });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": service }),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize, exportTimeoutMillis: exportTimeoutMs })],
  });
  const tracer = provider.getTracer("dcm-gateway");
  const running = new AsyncLocalStorage<OtelSpan>();

  function contextOf(parent: string | null | undefined): Context {
    const remote = parent ? readTraceparent(parent) : undefined;
    if (remote !== undefined) return trace.setSpanContext(ROOT_CONTEXT, remote);
    const span = running.getStore();
    return span === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, span);
  }

  return {
    inSpan({ name, kind, attributes = {}, parent }, work) {
      const options = { kind: kinds[kind], attributes: known(attributes) };
      const span = tracer.startSpan(name, options, contextOf(parent));
      return running.run(span, async () => {
        try {
          return await work(spanOf(span));
        } catch (error) {
          // Error messages may quote a request; the error's name is enough to find the log line.
          span.setAttribute("error.type", error instanceof Error ? error.name : "unknown");
          span.setStatus({ code: SpanStatusCode.ERROR });
          throw error;
        } finally {
          span.end();
        }
      });
    },
    current() {
      const context = running.getStore()?.spanContext();
      return context && `00-${context.traceId}-${context.spanId}-0${context.traceFlags & TraceFlags.SAMPLED}`;
    },
    async stop() {
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, stopTimeoutMs);
      });
      await Promise.race([provider.shutdown().catch(() => undefined), deadline]);
      clearTimeout(timer);
    },
  };
}

const spanOf = (span: OtelSpan): Span => ({
  rename: (name) => void span.updateName(name),
  set: (attributes) => void span.setAttributes(known(attributes)),
  fail: () => void span.setStatus({ code: SpanStatusCode.ERROR }),
});

const known = (attributes: SpanAttributes): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).filter(([, value]) => value !== null && value !== undefined),
  ) as Attributes;

/** W3C Trace Context: version 00, and neither id all zeros. */
function readTraceparent(text: string) {
  const [, traceId = "", spanId = "", flags = ""] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text) ?? [];
  if (traceId === "" || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}
