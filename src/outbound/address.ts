/**
 * The address guard against SSRF (server-side request forgery). Participants choose the URLs that the platform calls from inside
 * its own network, so every address is checked when a URL is registered, and again, after DNS resolution, each time a connection is
 * made.
 */
import { Resolver, lookup as systemLookup } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";

type ResolvedAddress = { address: string; family: 4 | 6 };
/** Every address of a host name; rejects when there is none. */
export type ResolveHost = (hostname: string) => Promise<ResolvedAddress[]>;

/** `ofHost`: the text of the URL is right; what its host resolves to is not, which is in the host owner's hands. */
type UrlProblem = { text: string; ofHost: boolean };

type AddressCheck = { ok: true } | { ok: false; problem: string };

export type AddressGuard = {
  /** For registration and update: checks the form of the URL and what its host resolves to now. */
  check(url: string): Promise<{ ok: true } | { ok: false; problem: UrlProblem }>;
  /** The part of `check` that needs no DNS; for a literal address that is all of it. */
  checkForm(url: string): AddressCheck;
  /** Whether the address is public or in the allow-list. */
  allows(address: string): boolean;
  isAllowListed(address: string): boolean;
  /** For `connect` of https: answers only allowed addresses, so the checked address is the one connected to (no DNS rebinding). */
  lookup: LookupFunction;
  /** For `connect` of plain http: answers only addresses in the allow-list. */
  plainLookup: LookupFunction;
};

export const ADDRESS_REFUSED_CODE = "EADDRREFUSED_BY_GUARD";
/**
 * One code for all failures of DNS. c-ares reports ECONNREFUSED when the name server refuses, which would look like the endpoint's
 * refusal.
 */
export const DNS_FAILURE_CODE = "EDNSFAILURE";

const MAX_URL_LENGTH = 2_048;
const HTTPS_PORT = 443;
const FIRST_UNPRIVILEGED_PORT = 1_024;
/** Two tries of 2 s leave most of an attempt's 10 s to the connection. */
const DNS_TRY_TIMEOUT_MS = 2_000;
const DNS_TRIES = 2;

/** The IANA special-purpose registry for IPv4, and cloud metadata services that have public addresses. */
export const REFUSED_IPV4: readonly (readonly [cidr: string, what: string])[] = [
  ["0.0.0.0/8", "this network"],
  ["10.0.0.0/8", "private"],
  ["100.64.0.0/10", "carrier-grade NAT, and the metadata service at 100.100.100.200"],
  ["127.0.0.0/8", "loopback"],
  ["168.63.129.16/32", "platform service of a cloud"],
  ["169.254.0.0/16", "link-local, and the metadata service at 169.254.169.254"],
  ["172.16.0.0/12", "private"],
  ["192.0.0.0/24", "protocol assignments, and the metadata service at 192.0.0.192"],
  ["192.0.2.0/24", "documentation"],
  ["192.31.196.0/24", "AS112"],
  ["192.52.193.0/24", "multicast tunnelling"],
  ["192.88.99.0/24", "6to4 relay"],
  ["192.168.0.0/16", "private"],
  ["192.175.48.0/24", "AS112"],
  ["198.18.0.0/15", "benchmarking"],
  ["198.51.100.0/24", "documentation"],
  ["203.0.113.0/24", "documentation"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved, and broadcast"],
];

/** The same for IPv6. Only 2000::/3 is assigned for global use, so everything around it is refused, as two ranges. */
export const REFUSED_IPV6: readonly (readonly [cidr: string, what: string])[] = [
  ["::/128", "unspecified"],
  ["::1/128", "loopback"],
  ["::ffff:0:0/96", "IPv4-mapped"],
  ["64:ff9b::/96", "NAT64"],
  ["64:ff9b:1::/48", "NAT64, local use"],
  ["100::/64", "discard"],
  ["::/3", "below the global range, all of the above included"],
  ["2001::/32", "Teredo"],
  ["2001:2::/48", "benchmarking"],
  ["2001::/23", "protocol assignments"],
  ["2001:db8::/32", "documentation"],
  ["2002::/16", "6to4"],
  ["2620:4f:8000::/48", "AS112"],
  ["3fff::/20", "documentation"],
  ["4000::/2", "above the global range"],
  ["5f00::/16", "segment routing"],
  ["8000::/1", "above the global range, all of the below included"],
  ["fc00::/7", "unique-local, and the metadata service at fd00:ec2::254"],
  ["fe80::/10", "link-local"],
  ["fec0::/10", "site-local"],
  ["ff00::/8", "multicast"],
];

/** Undefined when the text is an address or a range of addresses; otherwise why it is not, for the report on the configuration. */
export function cidrProblem(text: string): string | undefined {
  return parseCidr(text) ? undefined : `${text} is not an address range like 10.0.0.0/8 or fd00::/8`;
}

function parseCidr(text: string): { address: string; prefix: number; family: 4 | 6 } | undefined {
  const [address = "", prefixText, ...rest] = text.trim().split("/");
  const family = isIP(address);
  if ((family !== 4 && family !== 6) || address.includes("%") || rest.length > 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  if (prefixText === undefined) return { address, prefix: bits, family };
  const prefix = /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : Number.NaN;
  return prefix <= bits ? { address, prefix, family } : undefined;
}

/**
 * A set of address ranges. One list per family: a single BlockList would match every IPv4 address against the IPv4-mapped range.
 */
export function addressSet(cidrs: readonly string[]): (address: string) => boolean {
  const lists = { 4: new BlockList(), 6: new BlockList() };
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (!cidr) throw new RangeError(cidrProblem(text));
    lists[cidr.family].addSubnet(cidr.address, cidr.prefix, cidr.family === 4 ? "ipv4" : "ipv6");
  }
  return (address) => {
    const family = isIP(address);
    if (family === 4) return lists[4].check(address, "ipv4");
    return family === 6 && lists[6].check(address, "ipv6");
  };
}

/**
 * Names with a dot are resolved without the thread pool: getaddrinfo occupies one of its four threads, which signing shares, and a
 * name server that hangs would take all of them. Names without a dot (localhost, a neighbour container) are left to the operating
 * system.
 */
const resolveHost: ResolveHost = async (hostname) => {
  if (!hostname.includes(".")) {
    const found = await systemLookup(hostname, { all: true, order: "ipv4first" });
    return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
  }
  const resolver = new Resolver({ timeout: DNS_TRY_TIMEOUT_MS, tries: DNS_TRIES });
  const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
  if (four.status === "rejected" && six.status === "rejected") throw four.reason;
  return [
    ...(four.status === "fulfilled" ? four.value : []).map((address) => ({ address, family: 4 as const })),
    ...(six.status === "fulfilled" ? six.value : []).map((address) => ({ address, family: 6 as const })),
  ];
};

export function createAddressGuard(options: { allowCidrs: readonly string[]; resolve?: ResolveHost }): AddressGuard {
  const resolve = options.resolve ?? resolveHost;
  const isAllowListed = addressSet(options.allowCidrs);
  const isRefused = addressSet([...REFUSED_IPV4, ...REFUSED_IPV6].map(([cidr]) => cidr));
  // An address with a zone ("fe80::1%eth0") has a meaning only within this machine, so it is never public.
  const isPublic = (address: string) => isIP(address) !== 0 && !address.includes("%") && !isRefused(address);
  const allows = (address: string) => isAllowListed(address) || isPublic(address);

  function checkForm(text: string): AddressCheck {
    const parsed = parseCallbackUrl(text);
    if ("problem" in parsed) return { ok: false, problem: parsed.problem };
    const literal = hostAddress(parsed.url);
    const problem = literal === undefined ? undefined : addressesProblem(parsed.url, [literal]);
    return problem === undefined ? { ok: true } : { ok: false, problem: problem.text };
  }

  /** One allowed address is enough: when connecting, the others are left out. */
  function addressesProblem(url: URL, addresses: readonly string[]): UrlProblem | undefined {
    if (addresses.some(isAllowListed)) return undefined;
    if (url.protocol !== "https:") return { text: "must begin with https://", ofHost: false };
    if (!addresses.some(allows)) return { text: "points to an address that callbacks must not reach", ofHost: true };
    const port = Number(url.port || HTTPS_PORT);
    if (port < FIRST_UNPRIVILEGED_PORT && port !== HTTPS_PORT) {
      const text = `must use port ${HTTPS_PORT} or a port from ${FIRST_UNPRIVILEGED_PORT} up`;
      return { text, ofHost: false };
    }
    return undefined;
  }

  async function hostProblem(url: URL): Promise<UrlProblem | undefined> {
    const found = await resolve(url.hostname).catch(() => []);
    if (found.length === 0) return { text: "has a host name that does not resolve", ofHost: true };
    return addressesProblem(
      url,
      found.map(({ address }) => address),
    );
  }

  async function check(text: string): ReturnType<AddressGuard["check"]> {
    const form = checkForm(text);
    if (!form.ok) return { ok: false, problem: { text: form.problem, ofHost: false } };
    const url = new URL(text);
    const problem = hostAddress(url) === undefined ? await hostProblem(url) : undefined;
    return problem === undefined ? { ok: true } : { ok: false, problem };
  }

  return {
    check,
    checkForm,
    allows,
    isAllowListed,
    lookup: lookupThrough(resolve, allows),
    plainLookup: lookupThrough(resolve, isAllowListed),
  };
}

/** The URL parser also normalises odd spellings of an address (0x7f.1, 2130706433). */
function parseCallbackUrl(text: string): { url: URL } | { problem: string } {
  if (text.length > MAX_URL_LENGTH) return { problem: `is longer than ${MAX_URL_LENGTH} characters` };
  const url = URL.parse(text);
  if (!url) return { problem: "is not a URL" };
  if (url.protocol !== "https:" && url.protocol !== "http:") return { problem: "must begin with https://" };
  if (url.username !== "" || url.password !== "") return { problem: "must not carry a user name or password" };
  if (url.hostname === "") return { problem: "has no host name" };
  if (url.port === "0") return { problem: "must not use port 0" };
  return { url };
}

/** The address if the host is a literal one, without the brackets of IPv6; undefined for a name. */
function hostAddress(url: URL): string | undefined {
  const host = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
  return isIP(host) === 0 ? undefined : host;
}

/** The look-up function for node:net, which calls it for every new connection to a host name and expects all addresses or one. */
function lookupThrough(resolve: ResolveHost, permits: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    const wanted = options.family === "IPv4" ? 4 : options.family === "IPv6" ? 6 : (options.family ?? 0);
    resolvePermitted(resolve, permits, hostname, wanted).then(
      (permitted) => {
        const [first] = permitted;
        if (first && options.all) callback(null, permitted);
        else if (first) callback(null, first.address, first.family);
      },
      (error) => callback(error, "", 0),
    );
  };
}

async function resolvePermitted(
  resolve: ResolveHost,
  permits: (address: string) => boolean,
  hostname: string,
  family: number,
): Promise<ResolvedAddress[]> {
  const found = await resolve(hostname).catch((cause: unknown) => {
    const why = (cause as { code?: string }).code ?? "no answer";
    throw Object.assign(new Error(`${hostname} does not resolve (${why})`), { code: DNS_FAILURE_CODE });
  });
  const matching = found.filter((entry) => family === 0 || entry.family === family);
  if (matching.length === 0) {
    throw Object.assign(new Error(`${hostname} does not resolve`), { code: DNS_FAILURE_CODE });
  }
  const permitted = matching.filter((entry) => permits(entry.address));
  if (permitted.length > 0) return permitted;
  throw Object.assign(new Error(`${hostname} points to an address that callbacks must not reach`), {
    code: ADDRESS_REFUSED_CODE,
  });
}
