import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/health/v1/health_pb.ts";

/** How long an answer is cached: callers need no credential, and each fresh answer costs a query. */
const believedMs = 1_000;

/**
 * The standard gRPC health service: every service is SERVING when the dependencies of the core are there. Watch is not served, so
 * that nobody without a credential can hold a call open; clients then poll with Check.
 */
export function healthHandlers(
  serviceNames: readonly string[],
  isReady: () => Promise<boolean>,
): Partial<ServiceImpl<typeof Health>> {
  const known = new Set(["", ...serviceNames]);
  let believed: { status: Promise<Status>; since: number } | undefined;
  const current = () => {
    const now = performance.now();
    if (believed === undefined || now - believed.since > believedMs) {
      const asked = isReady().then(
        (ready) => (ready ? Status.SERVING : Status.NOT_SERVING),
        () => Status.NOT_SERVING,
      );
      believed = { status: asked, since: now };
    }
    return believed.status;
  };
  return {
    async check({ service }) {
      if (!known.has(service)) throw new ConnectError("there is no such service", Code.NotFound);
      return { status: await current() };
    },
    async list() {
      const status = await current();
      return { statuses: Object.fromEntries([...known].map((name) => [name, { status }])) };
    },
  };
}
