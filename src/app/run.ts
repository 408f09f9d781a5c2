import type { Config } from "../config.ts";
import type { PlatformKeys } from "../core/context.ts";
import type { Logger } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Tracing } from "../observe/tracing.ts";
import type { AddressGuard } from "../outbound/address.ts";

/** What tests replace. */
export type AppParts = { newGuid?: () => string };

/** What all parts of this process share. Each part that is started registers its end in `started`. */
export type Run = {
  config: Config;
  log: Logger;
  parts: AppParts;
  guard: AddressGuard;
  metrics: Metrics;
  tracing: Tracing;
  started: AsyncDisposableStack;
  /** The ends of the parts that take work in. They drain side by side, before anything that the work needs is stopped. */
  edges: (() => Promise<void>)[];
  /** The addresses on which the parts of this process listen, once they do. */
  readonly urls: { rest: string; rpc: string; ops: string };
};

function configuredUrlOf(config: Config): string {
  return config.publicUrl ?? `http://localhost:${config.restPort}`;
}

/** The public address of this deployment; with port 0 it is known only once the server listens. */
export function publicUrlOf({ config, urls }: Pick<Run, "config" | "urls">): string {
  return config.publicUrl ?? (urls.rest || configuredUrlOf(config));
}

export const signerOf = (config: Config, { sign }: PlatformKeys) => ({ issuer: configuredUrlOf(config), sign });
