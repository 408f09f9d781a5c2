/** Attributes are guids, kinds and outcomes; never tokens, never personal data. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** What a span means to its neighbours, in the words of OpenTelemetry. */
export type SpanKind = "server" | "client" | "consumer";

export type Span = {
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** The work ended badly by our own fault; a refusal that the contract knows is no fault. */
  fail(): void;
};

type SpanOptions = {
  name: string;
  kind: SpanKind;
  attributes?: SpanAttributes;
  /** The caller's span as W3C traceparent; without it the running span is the parent, or a new trace begins. */
  parent?: string | null | undefined;
};

/** Traces of one process. Without a collector everything here does nothing and costs nothing. */
export type Tracing = {
  /** Runs the work inside a span that ends with it; what throws is marked as failed and thrown on. */
  inSpan<T>(options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>;
  /** The running span as W3C traceparent, for whoever works on elsewhere. */
  current(): string | undefined;
  /** Sends what is still here and lets go. */
  stop(): Promise<void>;
};

const noSpan: Span = { rename() {}, set() {}, fail() {} };

export const noTracing: Tracing = {
  inSpan: (_options, work) => work(noSpan),
  current: () => undefined,
  stop: async () => {},
};
