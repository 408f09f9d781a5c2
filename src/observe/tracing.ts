/** Attributes are guids, kinds and outcomes; never tokens, never personal data. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** OpenTelemetry's span kinds. */
export type SpanKind = "server" | "client" | "consumer";

export type Span = {
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** Marks the span as failed by our own fault; a refusal that the contract declares is none. */
  fail(): void;
};

type SpanOptions = {
  name: string;
  kind: SpanKind;
  attributes?: SpanAttributes;
  /** The caller's span as W3C traceparent; without it the running span is the parent, or a new trace begins. */
  parent?: string | null | undefined;
};

/** Traces of one process. Without a collector all of this does nothing and costs nothing. */
export type Tracing = {
  /** Runs the work in a span that ends with it; if it throws, the span is marked as failed and the error passed on. */
  inSpan<T>(options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** The running span as W3C traceparent, to be continued elsewhere. */
  current(): string | undefined;
  /** Exports the remaining spans and stops. */
  stop(): Promise<void>;
};

const noSpan: Span = { rename() {}, set() {}, fail() {} };

export const noTracing: Tracing = {
  inSpan: (_options, work) => work(noSpan),
  current: () => undefined,
  stop: async () => {},
};
