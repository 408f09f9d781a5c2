import { execFile } from "node:child_process";
import { connect } from "node:http2";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuditAct, AuditEntrySchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { ErrorDetailSchema } from "../../gen/dcm/v1/error_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/health/v1/health_pb.ts";
import type { Core } from "../../src/core/core.ts";
import type { Scope } from "../../src/domain/credential.ts";
import { refuse } from "../../src/domain/errors.ts";
import { healthHandlers } from "../../src/rpc/health.ts";
import { type RpcServer, type RpcTls, startRpcServer } from "../../src/rpc/server.ts";
import { accepted, operator, type Platform } from "../core/platform.ts";
import { openPlatformOfSigners } from "./messages.ts";
import { cert, key } from "./selfSigned.ts";

// What every gRPC service is expected to have beside its own methods.

const root = resolve(import.meta.dirname, "../..");
const silent = { debug: () => {}, info: () => {}, error: () => {} };

let platform: Platform;
let token: string;
let server: RpcServer;
/** What GetParticipant answers, where a test says so. */
let getParticipant: (() => Promise<unknown>) | undefined;

const start = (core: Core, tls?: RpcTls, isReady = async () => true) =>
  startRpcServer({ core, host: "127.0.0.1", port: 0, log: silent, isReady, tls });

async function credential(name: string, ...scopes: Scope[]): Promise<string> {
  const expiresAt = new Date(Date.now() + 3_600_000);
  return accepted(await platform.core.addCredential(operator, { name, scopes, expiresAt })).secret;
}

beforeAll(async () => {
  platform = await openPlatformOfSigners();
  token = await credential("reader-of-tests", "reader");
  const entry = create(AuditEntrySchema, {
    number: 1n,
    at: timestampNow(),
    actor: "somebody",
    act: AuditAct.CREDENTIAL_ADDED,
    object: "of-somebody",
  });
  const core = {
    ...platform.core,
    listAuditEntries: async () => Array(500).fill(entry),
    getParticipant: (key: never) => getParticipant?.() ?? platform.core.getParticipant(key),
  } as unknown as Core;
  server = await start(core);
});
afterAll(async () => {
  await server.close();
  await platform.close();
});

const curl = async (...args: string[]) =>
  (await promisify(execFile)(`${root}/node_modules/.bin/buf`, ["curl", ...args], { cwd: root, timeout: 14_000 }))
    .stdout;

describe("health", () => {
  const clientOf = (url: string) =>
    createClient(Health, createGrpcTransport({ baseUrl: url, idleConnectionTimeoutMs: 100 }));

  test("is told to everybody, of the whole and of each service; of an unknown one it is NotFound", async () => {
    const health = clientOf(server.url);
    for (const service of ["", "dcm.v1.OrderService", "dcm.v1.SettlementService"]) {
      expect(await health.check({ service })).toMatchObject({ status: Status.SERVING });
    }
    await expect(health.check({ service: "dcm.v1.Nothing" })).rejects.toMatchObject({ code: Code.NotFound });
    const { statuses } = await health.list({});
    expect(Object.keys(statuses)).toContain("dcm.v1.OrderService");
    const [watched] = await Array.fromAsync(health.watch({})).then(
      () => [],
      (error: ConnectError) => [error.code],
    );
    expect(watched).toBe(Code.Unimplemented);
  });

  test("grpc-js and buf curl read it, without TLS and with it", async () => {
    const secure = await start(platform.core, { cert, key });
    const call = (url: string, credentials: grpc.ChannelCredentials) =>
      new Promise<Buffer>((done, fail) => {
        const client = new grpc.Client(new URL(url).host, credentials);
        const same = (bytes: Buffer) => bytes;
        client.makeUnaryRequest("/grpc.health.v1.Health/Check", same, same, Buffer.alloc(0), (error, answer) => {
          client.close();
          return error ? fail(error) : done(answer ?? Buffer.alloc(0));
        });
      });
    // Field 1, a number: SERVING.
    const serving = Buffer.from([0x08, Status.SERVING]);
    expect(await call(server.url, grpc.credentials.createInsecure())).toEqual(serving);
    expect(await call(secure.url, grpc.credentials.createSsl(Buffer.from(cert)))).toEqual(serving);
    await secure.close();
    const schema = [
      "--schema",
      "node_modules/grpc-health-check/proto",
      "--protocol",
      "grpc",
      "--http2-prior-knowledge",
    ];
    expect(JSON.parse(await curl(...schema, `${server.url}/grpc.health.v1.Health/Check`))).toEqual({
      status: "SERVING",
    });
  });

  test("is NOT_SERVING of every service of a core that lacks something", async () => {
    const lacking = await start(platform.core, undefined, async () => false);
    const health = clientOf(lacking.url);
    for (const service of ["", "dcm.v1.OrderService"]) {
      expect(await health.check({ service })).toMatchObject({ status: Status.NOT_SERVING });
    }
    await lacking.close();
  });

  test("says NOT_SERVING while what the core needs is not there, and asks once a second however many ask", async () => {
    let asked = 0;
    const answers = [async () => false, async () => Promise.reject(new Error("no answer")), async () => true];
    const handlers = healthHandlers(["dcm.v1.OrderService"], async () =>
      (answers[asked++] as () => Promise<boolean>)(),
    );
    const check = async () => (await handlers.check?.({ service: "" } as never, {} as never))?.status;
    expect(await Promise.all([check(), check(), check()])).toEqual(Array(3).fill(Status.NOT_SERVING));
    expect(asked).toBe(1);
    await expect.poll(() => check().then(() => asked), { timeout: 3_000 }).toBe(2);
    expect(await check()).toBe(Status.NOT_SERVING);
    await expect.poll(check, { timeout: 3_000 }).toBe(Status.SERVING);
  });
});

describe("reflection", () => {
  const reflected = (url: string, secret: string, ...args: string[]) =>
    curl("--protocol", "grpc", "--reflect-header", `authorization: Bearer ${secret}`, ...args, url);
  const served = [
    ...["Audit", "Callback", "Credential", "Order", "Participant", "PaymentMessage", "Platform", "Settlement"].map(
      (name) => `dcm.v1.${name}Service`,
    ),
    ...["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"],
  ];

  test.each(["grpc-v1", "grpc-v1alpha"])("lists the services and shows how to call them (%s)", async (protocol) => {
    const args = ["--reflect-protocol", protocol, "--http2-prior-knowledge"];
    const listed = await reflected(server.url, token, ...args, "--list-services");
    expect(listed.trim().split("\n").toSorted()).toEqual(served.toSorted());
    // No schema is given: names of fields and of values come from the server.
    getParticipant = () => platform.core.getParticipant({ bic: "000000" });
    const call = reflected(
      `${server.url}/dcm.v1.ParticipantService/GetParticipant`,
      token,
      ...[...args, "--header", `authorization: Bearer ${token}`, "--data", '{"bic":"000000"}'],
    );
    await expect(call).rejects.toMatchObject({ stderr: expect.stringContaining("no such participant") });
    getParticipant = undefined;
  });

  test("is for whoever has a credential, whatever it is for, over TLS as well, and for nobody else", async () => {
    const secure = await start(platform.core, { cert, key });
    const list = (secret: string) =>
      reflected(secure.url, secret, "--insecure", "--list-services", "--reflect-protocol", "grpc-v1");
    expect(await list(await credential("a-gateway", "gateway"))).toContain("dcm.v1.OrderService");
    await expect(list("wrong")).rejects.toMatchObject({ stderr: expect.stringContaining("not authenticated") });
    await secure.close();
  });
});

describe("standard details of errors", () => {
  const orderTaken = refuse("PAYMENT_MESSAGE_EXISTS", "there is one", {
    field: "order_id",
    paymentMessageGuid: "a-guid",
  });
  const ofTransport = { idleConnectionTimeoutMs: 100, httpVersion: "2" } as const;
  const errorOf = async (createTransport: typeof createGrpcTransport, answer: unknown) => {
    getParticipant = async () => answer;
    const participants = createClient(ParticipantService, createTransport({ baseUrl: server.url, ...ofTransport }));
    const headers = { authorization: `Bearer ${token}` };
    const call = participants.getParticipant({ by: { case: "bic", value: "000000" } }, { headers });
    const error = await call.then(
      () => undefined,
      (reason: unknown) => ConnectError.from(reason),
    );
    getParticipant = undefined;
    return error as ConnectError;
  };

  test.each([
    ["gRPC", createGrpcTransport],
    ["gRPC-Web", createGrpcWebTransport as typeof createGrpcTransport],
    ["Connect", createConnectTransport as unknown as typeof createGrpcTransport],
  ])("%s clients find the reason, its field and, where it passes, when to try again", async (_, createTransport) => {
    const taken = await errorOf(createTransport, orderTaken);
    expect(taken.findDetails(ErrorInfoSchema)).toMatchObject([
      {
        reason: "PAYMENT_MESSAGE_EXISTS",
        domain: "dcm",
        metadata: { field: "order_id", payment_message_guid: "a-guid" },
      },
    ]);
    expect(taken.findDetails(RetryInfoSchema)).toEqual([]);
    const busy = await errorOf(createTransport, refuse("OVERLOADED", "too much"));
    expect(busy.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "OVERLOADED", domain: "dcm", metadata: {} }]);
    expect(busy.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n, nanos: 0 } }]);
  });

  test("a client of another maker reads them as google.rpc.Status", async () => {
    getParticipant = async () => orderTaken;
    const client = new grpc.Client(new URL(server.url).host, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    const same = (bytes: Buffer) => bytes;
    const path = "/dcm.v1.ParticipantService/GetParticipant";
    const error = await new Promise<grpc.ServiceError>((done) => {
      // Field 2, a text of one character.
      client.makeUnaryRequest(path, same, same, Buffer.from([0x12, 1, 0x31]), metadata, (refused) =>
        done(refused as grpc.ServiceError),
      );
    });
    client.close();
    getParticipant = undefined;
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const status = fromBinary(StatusSchema, bytes as Buffer);
    expect(status).toMatchObject({ code: Code.AlreadyExists, message: "there is one" });
    expect(status.details.map(({ typeUrl }) => typeUrl)).toEqual([
      "type.googleapis.com/dcm.v1.ErrorDetail",
      "type.googleapis.com/google.rpc.ErrorInfo",
    ]);
  });

  test.each([
    ["half a character", `half ${"\ud83d"}`, `half ${"\ufffd"}`],
    ["very long, of large characters", "€".repeat(5_000), "€".repeat(1_000)],
  ])("a text that is %s arrives with its details", async (_, given, heard) => {
    for (const createTransport of [
      createGrpcTransport,
      createConnectTransport as never,
      createGrpcWebTransport as never,
    ]) {
      const error = await errorOf(createTransport, refuse("INVALID_REQUEST", given, { field: given }));
      expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, heard]);
      expect(error.findDetails(ErrorDetailSchema)[0]?.message).toBe(heard);
    }
  });
});

describe("compression", () => {
  /** A call of gRPC by hand: one compressed message, as sent; answers the status and whether the answer is compressed. */
  async function sendGzipped(path: string, message: Buffer) {
    const session = connect(server.url);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-encoding": "gzip",
      "grpc-accept-encoding": "gzip",
      authorization: `Bearer ${token}`,
    });
    const head = Buffer.alloc(5);
    head[0] = 1;
    head.writeUInt32BE(message.length, 1);
    const answer = new Promise<{ status: string; encoding: unknown; sent: number }>((done, fail) => {
      let status = "";
      let encoding: unknown;
      let sent = 0;
      stream.on("response", (headers) => {
        status = String(headers["grpc-status"] ?? "");
        encoding = headers["grpc-encoding"];
      });
      stream.on("trailers", (trailers) => {
        status = String(trailers["grpc-status"] ?? status);
      });
      stream.on("data", (bytes: Buffer) => {
        sent += bytes.length;
      });
      stream.on("error", fail);
      stream.on("close", () => done({ status, encoding, sent }));
    });
    stream.end(Buffer.concat([head, message]));
    const told = await answer;
    session.close();
    return told;
  }

  const getParticipantPath = "/dcm.v1.ParticipantService/GetParticipant";

  test("a compressed request is read, and one that unfolds to more than 256 KiB is refused", async () => {
    const small = await sendGzipped(getParticipantPath, gzipSync(Buffer.from([0x12, 1, 0x31])));
    expect(small.status).toBe(String(Code.NotFound));
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(128 * 1024);
    const rss = process.memoryUsage.rss();
    expect((await sendGzipped(getParticipantPath, bomb)).status).toBe(String(Code.ResourceExhausted));
    expect(process.memoryUsage.rss() - rss).toBeLessThan(48 * 1024 * 1024);
  });

  test("a large answer is compressed for who asks for it", async () => {
    // 500 a page; the entries are much alike.
    const told = await sendGzipped("/dcm.v1.AuditService/ListAuditEntries", gzipSync(Buffer.from([0x30, 0xf4, 0x03])));
    expect(told).toMatchObject({ status: "0", encoding: "gzip" });
    expect(told.sent).toBeLessThan(500 * 10);
  });
});
