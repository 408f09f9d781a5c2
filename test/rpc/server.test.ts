import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { Code, ConnectError, type ConnectRouter, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorDetailSchema } from "../../gen/dcm/v1/error_pb.ts";
import { OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../gen/dcm/v1/participant_pb.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import type { Scope } from "../../src/domain/credential.ts";
import { accessOf } from "../../src/rpc/authorize.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { coreServices, routesOf } from "../../src/rpc/routes.ts";
import { type RpcServer, type RpcTls, startRpcServer } from "../../src/rpc/server.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import type { Access } from "../../src/wire/enums.ts";
import { accepted, operator, type Platform } from "../core/platform.ts";
import { errorOf } from "./errorOf.ts";
import {
  asBank,
  merchantMessage,
  openPlatformOfSigners,
  registerBankAndMerchant,
  signedOrder,
  signedPaymentMessage,
} from "./messages.ts";
import { cert, key } from "./selfSigned.ts";

const root = resolve(import.meta.dirname, "../..");
const silent = { debug: () => {}, info: () => {}, error: () => {} };

let platform: Platform;
/** Of a credential with every scope. */
let token: string;
let server: RpcServer;
let transport: ReturnType<typeof remoteTransport>;
let clients: ReturnType<typeof createClients>;
let bank: Participant;
let merchant: Participant;

const isReady = async () => true;
const start = (core: Core, options: { drainTimeoutMs?: number; tls?: RpcTls } = {}) =>
  startRpcServer({ core, host: "127.0.0.1", port: 0, log: silent, isReady, ...options });

/** The secret of a new credential. */
async function credential(name: string, ...scopes: Scope[]): Promise<string> {
  const expiresAt = new Date(Date.now() + 3_600_000);
  return accepted(await platform.core.addCredential(operator, { name, scopes, expiresAt })).secret;
}

beforeAll(async () => {
  platform = await openPlatformOfSigners();
  token = await credential("tests", "gateway", "reader", "operator");
  server = await start(platform.core);
  transport = remoteTransport(server.url, token);
  clients = createClients(transport);
  ({ bank, merchant } = await registerBankAndMerchant(clients));
});
afterAll(async () => {
  transport.close();
  await server.close();
  await platform.close();
});

describe("our own client, over gRPC", () => {
  test("an order is created and paid, and a refusal arrives with its detail", async () => {
    const { order } = await clients.orders.createOrder(await signedOrder(merchant));
    const submit = async () =>
      clients.paymentMessages.submitPaymentMessage(
        await signedPaymentMessage({ bank, merchant }, order?.id ?? ""),
        await asBank(bank),
      );
    const { guid } = await submit();
    const error = await submit().catch((reason: unknown) => ConnectError.from(reason));
    const [detail] = (error as ConnectError).findDetails(ErrorDetailSchema);
    expect([(error as ConnectError).code, detail?.paymentMessageGuid]).toEqual([Code.AlreadyExists, guid]);
  });

  test("a refusal arrives although what a stranger published ends in half a character", async () => {
    const fetchJwks = async () => ({ problem: "answered \ud83d" });
    const other = await start(createCore({ ...platform.context, fetchJwks }));
    const toOther = remoteTransport(other.url, token);
    const publishing = await merchantMessage(bank, { signingJwks: [], jwksUrl: "https://shop.example/jwks.json" });
    const asked = createClients(toOther).participants.registerMerchant({ merchant: publishing });
    await expect(asked).rejects.toMatchObject({ code: Code.InvalidArgument, rawMessage: "jwks_url answered \ufffd" });
    toOther.close();
    await other.close();
  });

  test("a server that is not there is Unavailable, and the client finds it again when it is", async () => {
    const gone = await start(platform.core);
    const port = Number(new URL(gone.url).port);
    const other = remoteTransport(gone.url, token);
    const { participants } = createClients(other);
    await participants.listParticipants({});
    await gone.close();
    await expect(participants.listParticipants({})).rejects.toMatchObject({ code: Code.Unavailable });
    const back = await startRpcServer({ core: platform.core, host: "127.0.0.1", port, log: silent, isReady });
    await expect(participants.listParticipants({})).resolves.toBeDefined();
    other.close();
    await back.close();
  });
});

describe("foreign clients with nothing but the .proto files", () => {
  type Unary = (
    request: object,
    metadata: grpc.Metadata,
    done: (error: grpc.ServiceError | null, answer: Record<string, unknown>) => void,
  ) => void;

  function grpcClient(service: string) {
    const definition = loadSync(`dcm/v1/${service.toLowerCase()}_service.proto`, { includeDirs: [`${root}/proto`] });
    const loaded = grpc.loadPackageDefinition(definition) as unknown as {
      dcm: { v1: Record<string, grpc.ServiceClientConstructor> };
    };
    const Service = loaded.dcm.v1[`${service}Service`] as grpc.ServiceClientConstructor;
    return new Service(new URL(server.url).host, grpc.credentials.createInsecure());
  }

  function call(client: grpc.Client, method: string, request: object) {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    return new Promise<Record<string, unknown>>((resolve, reject) => {
      const unary = (client as unknown as Record<string, Unary>)[method];
      unary?.call(client, request, metadata, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  }

  test("grpc-js: an order is created, read, and a bad one is refused with the code of the table", async () => {
    const client = grpcClient("Order");
    const request = await signedOrder(merchant);
    const { order } = (await call(client, "createOrder", request)) as { order: { id: string; status: string } };
    const read = (await call(client, "getOrder", { orderId: order.id })) as {
      order: object;
      merchant: { guid: string };
    };
    expect(read.order).toEqual(order);
    expect(read.merchant.guid).toBe(merchant.guid);
    const bad = call(client, "createOrder", await signedOrder(merchant, { cur: "ZZZ" }));
    await expect(bad).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: "cur is not an ISO 4217 code",
    });
    const unknown = call(client, "getOrder", { orderId: "nothing" });
    await expect(unknown).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    client.close();
  });

  test("grpc-js: without the token every call is Unauthenticated", async () => {
    const client = grpcClient("Participant");
    const unary = (client as unknown as Record<string, Unary>).listParticipants;
    const refused = new Promise((resolve, reject) => {
      unary?.call(client, {}, new grpc.Metadata(), (error, answer) => (error ? reject(error) : resolve(answer)));
    });
    await expect(refused).rejects.toMatchObject({ code: grpc.status.UNAUTHENTICATED });
    client.close();
  });

  const curl = (protocol: string, method: string, request: object, bearer = token) =>
    promisify(execFile)(
      `${root}/node_modules/.bin/buf`,
      [
        ...["curl", "--schema", "proto", "--protocol", protocol, "--http2-prior-knowledge"],
        ...["--header", `authorization: Bearer ${bearer}`, "--data", JSON.stringify(request)],
        `${server.url}/dcm.v1.${method}`,
      ],
      { cwd: root, timeout: 14_000 },
    );

  test.each(["grpc", "grpcweb", "connect"])("buf curl over %s reads a participant", async (protocol) => {
    const { stdout } = await curl(protocol, "ParticipantService/GetParticipant", { bic: bank.bic });
    expect(JSON.parse(stdout)).toMatchObject({ participant: { guid: bank.guid, kind: "PARTICIPANT_KIND_BANK" } });
  });

  test("buf curl shows the code and the detail of a refusal", async () => {
    const refused = curl("grpc", "OrderService/GetOrder", { order_id: "nothing" });
    await expect(refused).rejects.toMatchObject({
      stderr: expect.stringMatching(/"not_found"[\s\S]*"order_id is not a UUID"[\s\S]*dcm.v1.ErrorDetail/),
    });
  });

  test.each([
    ["gRPC-Web", createGrpcWebTransport],
    ["Connect", createConnectTransport],
  ])("%s clients are served too", async (_, createTransport) => {
    const options = { baseUrl: server.url, httpVersion: "2", idleConnectionTimeoutMs: 100 } as const;
    const orders = createClient(OrderService, createTransport(options));
    const headers = { authorization: `Bearer ${token}` };
    const answer = orders.getOrder({ orderId: "nothing" }, { headers });
    await expect(answer).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe("authentication", () => {
  test.each([
    ["no token", () => undefined],
    ["a wrong token", () => "wrong"],
    ["a prefix of the token", () => token.slice(0, -1)],
    ["the token and more", () => `${token}!`],
  ])("%s: Unauthenticated", async (_, given) => {
    const other = remoteTransport(server.url, given());
    const { participants } = createClients(other);
    await expect(participants.listParticipants({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    other.close();
  });

  test("a credential that is over, or revoked, is none: within two seconds, also on a connection that is open", async () => {
    const secret = await credential("short-lived", "reader");
    const other = remoteTransport(server.url, secret);
    const { participants } = createClients(other);
    await participants.listParticipants({});
    await platform.core.revokeCredential(operator, "short-lived");
    await expect
      .poll(() => participants.listParticipants({}).catch((error: ConnectError) => error.code), { timeout: 5_000 })
      .toBe(Code.Unauthenticated);
    other.close();
    await platform.rows(
      "update service_credential set revoked_at = null, expires_at = now() where name = 'short-lived'",
    );
    const later = remoteTransport(server.url, secret);
    await expect(createClients(later).participants.listParticipants({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
    });
    later.close();
  });

  test("over TLS it is reached by who trusts its certificate, and by nobody else", async () => {
    const secure = await start(platform.core, { tls: { cert, key } });
    expect(secure.url).toMatch(/^https:/);
    const codeOf = async (url: string, ca?: string) => {
      const other = remoteTransport(url, token, undefined, ca);
      const call = createClients(other).participants.listParticipants({});
      const code = await call.then(
        () => "done",
        (error: ConnectError) => Code[error.code],
      );
      other.close();
      return code;
    };
    expect(await codeOf(secure.url, cert)).toBe("done");
    expect(await codeOf(secure.url)).not.toBe("done");
    expect(await codeOf(secure.url.replace("https", "http"), cert)).not.toBe("done");
    await secure.close();
  });

  test("a method that names nobody who may call it stops the start", () => {
    const [method] = OrderService.methods;
    const forNobody = { ...method, proto: { ...method?.proto, options: undefined } };
    const service = { ...OrderService, methods: [forNobody] } as unknown as typeof OrderService;
    const router = { service: () => router } as unknown as ConnectRouter;
    expect(() => routesOf([{ service, handlers: {} }])(router)).toThrow(
      "OrderService/CreateOrder names nobody who may call it",
    );
    expect(() => routesOf([{ service: OrderService, handlers: {} }])(router)).not.toThrow();
  });

  /** As whom a service may call; for a bank or merchant a gateway may as well, though not without its token. */
  const accessOfScope: Record<Scope, readonly Access[]> = {
    gateway: ["gateway", "order_jws", "bank", "merchant"],
    reader: ["reader"],
    operator: ["operator"],
  };

  test.each<Scope>(["gateway", "reader", "operator"])(
    "a credential for %s may call what the contract says at the method, and nothing else",
    async (scope) => {
      const methods = coreServices(platform.core).flatMap(({ service }) =>
        service.methods.map((method) => ({ service, method })),
      );
      const other = remoteTransport(server.url, await credential(`only-${scope}`, scope));
      const answers = await Promise.all(
        methods.map(async ({ service, method }) => {
          const client = createClient(service, other) as unknown as Record<
            string,
            (request: object) => Promise<unknown>
          >;
          const code = await client[method.localName]?.({}).then(
            () => undefined,
            (error: ConnectError) => error.code,
          );
          return [method.name, code !== Code.PermissionDenied];
        }),
      );
      other.close();
      const mayCall = (access: Access) => accessOfScope[scope].includes(access);
      expect(answers).toEqual(methods.map(({ method }) => [method.name, accessOf(method).some(mayCall)]));
    },
  );
});

describe("limits and closing", () => {
  test("a request above 256 KiB is refused unread, and a token above 64 KiB unjudged", async () => {
    const create = (bytes: number) => errorOf(clients.orders.createOrder({ jws: "x".repeat(bytes) }));
    expect(await create(256 * 1024)).toMatchObject({ code: Code.ResourceExhausted });
    expect(await create(65_537)).toMatchObject({
      code: Code.InvalidArgument,
      reason: "INVALID_REQUEST",
      message: "jws has more than 65536 bytes",
    });
    // This one is taken for no token of anybody.
    expect(await create(65_536)).toMatchObject({ code: Code.Unauthenticated });
  });

  /** A core whose reading of participants ends when the test says so. */
  function slowCore() {
    const started = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const getParticipant = async () => {
      started.resolve();
      await answer.promise;
      return platform.core.getParticipant({ guid: bank.guid });
    };
    return { core: { ...platform.core, getParticipant } as unknown as Core, started: started.promise, answer };
  }

  const by = { case: "bic", value: "123456" } as const;

  test("close() lets open calls end and answers them", async () => {
    const { core, started, answer } = slowCore();
    const closing = await start(core);
    const other = remoteTransport(closing.url, token);
    const call = createClients(other).participants.getParticipant({ by });
    await started;
    const closed = closing.close();
    answer.resolve();
    await expect(call).resolves.toMatchObject({ participant: { guid: bank.guid } });
    await closed;
    other.close();
  });

  test("close() cuts calls that do not end in time", async () => {
    const { core, started, answer } = slowCore();
    const closing = await start(core, { drainTimeoutMs: 50 });
    const other = remoteTransport(closing.url, token);
    const call = createClients(other).participants.getParticipant({ by });
    const outcome = expect(call).rejects.toBeInstanceOf(ConnectError);
    await started;
    await closing.close();
    await outcome;
    answer.resolve();
    other.close();
  });
});
