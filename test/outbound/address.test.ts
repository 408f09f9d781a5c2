import type { LookupAddress } from "node:dns";
import { describe, expect, test } from "vitest";
import {
  ADDRESS_REFUSED_CODE,
  type AddressGuard,
  cidrProblem,
  createAddressGuard,
  DNS_FAILURE_CODE,
  REFUSED_IPV4,
  REFUSED_IPV6,
} from "../../src/outbound/address.ts";

const names: Record<string, string[]> = {
  "bank.example": ["93.184.215.14", "2a00:1450:4001:80f::200e"],
  "inside.example": ["10.1.2.3"],
  "half.example": ["10.1.2.3", "93.184.215.14"],
  "metadata.example": ["169.254.169.254", "fd00:ec2::254"],
};

async function resolve(hostname: string) {
  const addresses = names[hostname];
  if (!addresses) throw Object.assign(new Error("unknown"), { code: "ENOTFOUND" });
  return addresses.map((address) => ({ address, family: address.includes(":") ? (6 as const) : (4 as const) }));
}

const closed = createAddressGuard({ allowCidrs: [], resolve });
const openInside = createAddressGuard({ allowCidrs: ["127.0.0.0/8", "10.0.0.0/8", "::1"], resolve });

const refusedAddresses = [
  ...[...REFUSED_IPV4, ...REFUSED_IPV6].map(([cidr]) => cidr.split("/")[0] ?? ""),
  "127.255.255.255",
  "10.255.255.255",
  "100.100.100.200",
  "100.127.255.255",
  "169.254.169.254",
  "172.31.255.255",
  "192.168.1.1",
  "198.19.255.255",
  "239.1.1.1",
  "255.255.255.255",
  "::ffff:8.8.8.8",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "::127.0.0.1",
  "64:ff9b::7f00:1",
  "64:ff9b:1:ffff::1",
  "2001:0:4136:e378:8000:63bf:3fff:fdd2",
  "2002:7f00:1::1",
  "fd00:ec2::254",
  "fe80::1%eth0",
  "2a00:1450:4001:80f::200e%eth0",
  "ff02::1",
  "not an address",
  "",
];

const allowedAddresses = ["8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1"];
const allowedIpv6Addresses = ["2a00:1450:4001:80f::200e", "2606:4700::1111", "2001:4860:4860::8888", "2001:200::1"];

describe("allows", () => {
  test.each(refusedAddresses)("%s is refused", (address) => {
    expect(closed.allows(address)).toBe(false);
  });

  test.each([...allowedAddresses, ...allowedIpv6Addresses])("%s is public", (address) => {
    expect(closed.allows(address)).toBe(true);
  });

  test("the allow-list opens its own ranges and nothing else", () => {
    expect(openInside.allows("127.0.0.1")).toBe(true);
    expect(openInside.allows("10.9.9.9")).toBe(true);
    expect(openInside.allows("::1")).toBe(true);
    expect(openInside.allows("192.168.0.1")).toBe(false);
    expect(openInside.allows("::2")).toBe(false);
    expect(openInside.isAllowListed("8.8.8.8")).toBe(false);
  });
});

describe("check", () => {
  const refused: [url: string, problem: RegExp][] = [
    ["", /not a URL/],
    ["bank.example", /not a URL/],
    ["ftp://bank.example/", /https/],
    ["file:///etc/passwd", /https/],
    ["http://bank.example/", /https/],
    ["https://user:secret@bank.example/", /user name/],
    ["https://user@bank.example/", /user name/],
    ["https://bank.example:0/", /port/],
    ["https://bank.example:22/", /port/],
    [`https://bank.example/${"a".repeat(2048)}`, /longer/],
    ["https://unknown.example/", /resolve/],
    ["https://inside.example/", /must not reach/],
    ["https://metadata.example/", /must not reach/],
    ["https://127.0.0.1/", /must not reach/],
    ["https://0x7f.1/", /must not reach/],
    ["https://2130706433/", /must not reach/],
    ["https://017700000001/", /must not reach/],
    ["https://[::1]/", /must not reach/],
    ["https://[::ffff:127.0.0.1]/", /must not reach/],
    ["https://[64:ff9b::a00:1]/", /must not reach/],
    ["https://169.254.169.254/latest/meta-data", /must not reach/],
    ["http://127.0.0.1:8080/", /https/],
  ];

  test.each(refused)("%s is refused", async (url, problem) => {
    const check = await closed.check(url);
    expect(check).toMatchObject({ ok: false, problem: { text: expect.stringMatching(problem) } });
  });

  test.each([
    "https://bank.example/callbacks?x=1",
    "https://bank.example:8443/",
    "https://half.example/",
    "https://8.8.8.8/",
    "https://[2a00:1450:4001:80f::200e]/",
  ])("%s is accepted", async (url) => {
    expect(await closed.check(url)).toEqual({ ok: true });
  });

  test.each(["http://127.0.0.1:80/", "https://10.0.0.1:22/x", "http://inside.example:5000/", "http://[::1]:9000/"])(
    "%s is accepted inside the allow-list",
    async (url) => {
      expect(await openInside.check(url)).toEqual({ ok: true });
    },
  );

  test.each([
    ["https://unknown.example/", true],
    ["https://inside.example/", true],
    ["http://bank.example/", false],
    ["https://bank.example:22/", false],
    ["https://127.0.0.1/", false],
    ["bank.example", false],
  ])("whether %s is refused for its host and not for its text: %s", async (url, ofHost) => {
    expect(await closed.check(url)).toMatchObject({ problem: { ofHost } });
  });

  test("the operating system's own name for loopback is resolved and refused", async () => {
    expect((await createAddressGuard({ allowCidrs: [] }).check("https://localhost/")).ok).toBe(false);
    expect((await createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }).check("http://localhost:1/")).ok).toBe(true);
  });
});

function lookup(through: AddressGuard["lookup"], hostname: string, all: boolean, family = 0) {
  return new Promise<string | LookupAddress[]>((done, failed) => {
    through(hostname, { all, family }, (error, address) => (error ? failed(error) : done(address)));
  });
}

describe("lookup", () => {
  test("only permitted addresses are handed to the connection", async () => {
    expect(await lookup(closed.lookup, "half.example", true)).toEqual([{ address: "93.184.215.14", family: 4 }]);
    expect(await lookup(closed.lookup, "half.example", false)).toBe("93.184.215.14");
    expect(await lookup(closed.lookup, "bank.example", false, 6)).toBe("2a00:1450:4001:80f::200e");
  });

  test("a name without a permitted address is refused, and an unknown one is a DNS failure", async () => {
    await expect(lookup(closed.lookup, "metadata.example", true)).rejects.toMatchObject({ code: ADDRESS_REFUSED_CODE });
    await expect(lookup(closed.lookup, "unknown.example", true)).rejects.toMatchObject({ code: DNS_FAILURE_CODE });
    await expect(lookup(closed.lookup, "inside.example", true, 6)).rejects.toMatchObject({ code: DNS_FAILURE_CODE });
  });

  test("plain http reaches the allow-list only", async () => {
    expect(await lookup(openInside.plainLookup, "half.example", true)).toEqual([{ address: "10.1.2.3", family: 4 }]);
    await expect(lookup(openInside.plainLookup, "bank.example", true)).rejects.toMatchObject({
      code: ADDRESS_REFUSED_CODE,
    });
  });
});

test("cidrProblem: ranges and single addresses pass, everything else is told", () => {
  for (const right of ["10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", " 10.0.0.0/8 ", "0.0.0.0/0"]) {
    expect(cidrProblem(right)).toBeUndefined();
  }
  for (const wrong of ["", "10.0.0.0/33", "10.0.0/8", "::1/129", "10.0.0.0/-1", "10.0.0.0/8/8", "bank", "fe80::1%lo"]) {
    expect(cidrProblem(wrong)).toContain("not an address range");
    expect(() => createAddressGuard({ allowCidrs: [wrong] })).toThrow(RangeError);
  }
});
