import type { Config } from "../config.ts";
import type { PlatformKeys } from "../core/context.ts";
import type { Logger } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Tracing } from "../observe/tracing.ts";
import type { AddressGuard } from "../outbound/address.ts";

/** What tests replace; everything else is real. */
export type AppParts = { newGuid?: () => string };

/** What every part of this process shares; whoever starts something hands its end to `started`. */
export type Run = {
  config: Config;
  log: Logger;
  parts: AppParts;
  guard: AddressGuard;
  metrics: Metrics;
  tracing: Tracing;
  started: AsyncDisposableStack;
  /** Ends of what takes work in. They drain side by side, before anything that the work needs is stopped. */
  edges: (() => Promise<void>)[];
  /** Where the parts of this process listen, once they do. */
  readonly urls: { rest: string; rpc: string; ops: string };
};

function configuredUrlOf(config: Config): string {
  return config.publicUrl ?? `http://localhost:${config.restPort}`;
}

/** Where this deployment is reached; of a port that the system chose only once the server listens. */
export function publicUrlOf({ config, urls }: Pick<Run, "config" | "urls">): string {
  return config.publicUrl ?? (urls.rest || configuredUrlOf(config));
}

export const signerOf = (config: Config, { sign }: PlatformKeys) => ({ issuer: configuredUrlOf(config), sign });
