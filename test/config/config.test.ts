import { describe, expect, test } from "vitest";
import { variables } from "../../src/config/variables.ts";
import { readConfig, roles } from "../../src/config.ts";

const problemsOf = (environment: Record<string, string>, started: readonly (typeof roles)[number][] = roles) => {
  const read = readConfig(started, {}, environment);
  return read.ok ? [] : read.problems;
};

describe("readConfig", () => {
  test("an empty environment is a complete configuration: everything in one process, services embedded", () => {
    const read = readConfig(roles, {}, {});
    expect(read).toMatchObject({
      ok: true,
      config: {
        restPort: 8080,
        rpcPort: 8081,
        rpcHost: "127.0.0.1",
        supportedCurrencies: ["UAH"],
        maxOrderLifeDays: 366,
      },
    });
  });

  test("every problem is told at once, each by the name of its variable", () => {
    const problems = problemsOf({
      DATABASE_URL: "mysql://x",
      AMQP_URL: "not a url",
      REST_PORT: "99999",
      LOG_LEVEL: "loud",
      CALLBACK_ALLOW_CIDRS: "10.0.0.0/8,elsewhere",
      SUPPORTED_CURRENCIES: "UAH,ABC",
      ORDER_MAX_LIFE_DAYS: "0",
      RETRY_DELAYS_MS: "1000,-1",
      DCM_MASTER_KEY: "nearly a secret",
      JWKS_MAX_AGE_SECONDS: "86401",
    });
    const named = problems.map((problem) => problem.split(" ")[0]);
    expect(named).toEqual([
      "DATABASE_URL",
      "AMQP_URL",
      "REST_PORT",
      "DCM_MASTER_KEY",
      "JWKS_MAX_AGE_SECONDS",
      "LOG_LEVEL",
      "CALLBACK_ALLOW_CIDRS",
      "SUPPORTED_CURRENCIES",
      "ORDER_MAX_LIFE_DAYS",
      "RETRY_DELAYS_MS",
    ]);
    expect(problems.join("\n")).not.toContain("nearly a secret");
    expect(problems.join("\n")).toContain('"elsewhere"');
  });

  test.each([
    ["the role rest alone must know the core", ["rest"], { PUBLIC_URL: "https://x.example" }, "CORE_URL"],
    ["roles apart share a PostgreSQL", ["core"], { AMQP_URL: "amqp://x" }, "DATABASE_URL"],
    ["core and worker apart share a RabbitMQ", ["worker"], { DATABASE_URL: "postgres://x" }, "AMQP_URL"],
    ["a certificate has its key", ["rest", "core", "worker"], { RPC_TLS_CERT_FILE: "x.pem" }, "RPC_TLS_CERT_FILE"],
    ["the core has a master key", ["rest", "core", "worker"], { DATABASE_URL: "postgres://x" }, "DCM_MASTER_KEY"],
    ["a worker apart has a master key", ["worker"], { DATABASE_URL: "postgres://x" }, "DCM_MASTER_KEY"],
    ["roles apart agree on the address", ["worker"], { PLATFORM_KEY_FILE: "key.json" }, "PUBLIC_URL"],
    ["the role rest alone shows a credential", ["rest"], { CORE_URL: "http://core.example" }, "RPC_TOKEN"],
  ] as const)("%s", (_rule, started, environment, variable) => {
    expect(problemsOf(environment, started).map((problem) => problem.split(" ")[0])).toContain(variable);
  });

  test.each([
    [
      "the role rest alone",
      ["rest"],
      { CORE_URL: "http://core.example", PUBLIC_URL: "https://x", RPC_TOKEN_FILE: "x" },
    ],
    ["the embedded PostgreSQL", ["rest", "core", "worker"], {}],
    ["a command that starts no role", [], { DATABASE_URL: "postgres://x" }],
  ] as const)("no master key is asked of %s", (_rule, started, environment) => {
    expect(problemsOf(environment, started)).toEqual([]);
  });

  const key = Buffer.alloc(32, 0xfb);

  test.each([
    ["base64", key.toString("base64"), true],
    ["base64url", key.toString("base64url"), true],
    ["31 bytes", Buffer.alloc(31).toString("base64"), false],
    ["33 bytes", Buffer.alloc(33).toString("base64"), false],
    ["hexadecimal", key.toString("hex"), false],
  ])("a master key in %s: %s", (_form, text, isGood) => {
    const read = readConfig(roles, {}, { DCM_MASTER_KEY: text });
    expect(read.ok && Buffer.from(read.config.masterKey ?? "").equals(key)).toBe(isGood);
  });

  test("every variable has a sentence of help", () => {
    for (const variable of variables) expect(variable.help, variable.name).toMatch(/\.$/);
  });
});
