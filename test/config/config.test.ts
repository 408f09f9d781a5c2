import { describe, expect, test } from "vitest";
import { readConfig, roles, variables } from "../../src/config.ts";

const problemsOf = (environment: Record<string, string>, started: readonly (typeof roles)[number][] = roles) => {
  const read = readConfig(started, {}, environment);
  return read.ok ? [] : read.problems;
};

describe("readConfig", () => {
  test("an empty environment is a complete configuration: everything in one process, services embedded", () => {
    const read = readConfig(roles, {}, {});
    expect(read).toMatchObject({
      ok: true,
      config: { restPort: 8080, rpcPort: 8081, rpcHost: "127.0.0.1", supportedCurrencies: ["UAH"] },
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
      RETRY_DELAYS_MS: "1000,-1",
    });
    const named = problems.map((problem) => problem.split(" ")[0]);
    expect(named).toEqual([
      "DATABASE_URL",
      "AMQP_URL",
      "REST_PORT",
      "LOG_LEVEL",
      "CALLBACK_ALLOW_CIDRS",
      "SUPPORTED_CURRENCIES",
      "RETRY_DELAYS_MS",
    ]);
    expect(problems.join("\n")).toContain('"elsewhere"');
  });

  test.each([
    ["the role rest alone must know the core", ["rest"], { PUBLIC_URL: "https://x.example" }, "CORE_URL"],
    ["roles apart share a PostgreSQL", ["core"], { AMQP_URL: "amqp://x" }, "DATABASE_URL"],
    ["core and worker apart share a RabbitMQ", ["worker"], { DATABASE_URL: "postgres://x" }, "AMQP_URL"],
    ["a certificate has its key", ["rest", "core", "worker"], { RPC_TLS_CERT_FILE: "x.pem" }, "RPC_TLS_CERT_FILE"],
    ["the role rest alone shows a credential", ["rest"], { CORE_URL: "http://core.example" }, "RPC_TOKEN"],
  ] as const)("%s", (_rule, started, environment, variable) => {
    expect(problemsOf(environment, started).map((problem) => problem.split(" ")[0])).toContain(variable);
  });

  test("every variable has a sentence of help", () => {
    for (const variable of variables) expect(variable.help, variable.name).toMatch(/\.$/);
  });
});
