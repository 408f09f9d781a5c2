import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { buildConnector } from "undici";
import { ADDRESS_REFUSED_CODE, type AddressGuard } from "./address.ts";
import { stripInterimResponses } from "./interim.ts";

/** How long each address of a host is tried, but for the last one: Node's own 250 ms would give up on a distant endpoint. */
const ADDRESS_TRY_TIMEOUT_MS = 2_000;

/**
 * undici's connector with the address guard. SNI and Host come from the URL's name, while the connection goes to the checked
 * address. Literal addresses skip the look-up, so the peer address of the open socket is checked as well.
 */
export function guardedConnector(guard: AddressGuard, timeoutMs: number, extraCa?: string): buildConnector.connector {
  const autoSelectFamilyAttemptTimeout = ADDRESS_TRY_TIMEOUT_MS;
  const trust = extraCa === undefined ? {} : trustAlso(extraCa);
  const common = { allowH2: false, timeout: timeoutMs, autoSelectFamilyAttemptTimeout, ...trust };
  const connectTls = buildConnector({ ...common, lookup: guard.lookup } as buildConnector.BuildOptions);
  const connectPlain = buildConnector({ ...common, lookup: guard.plainLookup } as buildConnector.BuildOptions);
  return (target, callback) => {
    const isTls = target.protocol === "https:";
    const permits = isTls ? guard.allows : guard.isAllowListed;
    const connect = isTls ? connectTls : connectPlain;
    connect(target, (...[error, socket]) => {
      if (error) return callback(error, null);
      if (permits(socket.remoteAddress ?? "")) {
        stripInterimResponses(socket);
        return callback(null, socket);
      }
      socket.destroy();
      const refusal = new Error(`${target.hostname} is an address that callbacks must not reach`);
      callback(Object.assign(refusal, { code: ADDRESS_REFUSED_CODE }), null);
    });
  };
}

/** Made once: parsing the system's certificate authorities for every connection would cost more than the handshake. */
function trustAlso(extraCa: string): { secureContext: SecureContext } {
  return { secureContext: createSecureContext({ ca: [...getCACertificates("default"), extraCa] }) };
}
