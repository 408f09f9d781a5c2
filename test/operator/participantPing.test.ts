import { createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

const guid = "3aa202bc-6b20-445d-8969-8274b11c66d0";

test("ping says of each address whether it works and which keys it proves; one that does not is an alarm", async () => {
  await using platform = await startPlatform();
  const console = openConsole(platform.operators());
  const { guid, key } = platform.recipient;
  const fine = await console.run("participants", "ping", guid);
  expect(fine.code).toBe(0);
  expect(fine.lines.join("\n")).toMatch(new RegExp(`outcome +it works\nstatus +200\n.*\nproves +${key.kid}`));
  await console.run("participants", "update", guid, { callbackUrls: { base: "http://127.0.0.1:1/" } });
  const broken = await console.run("participants", "ping", guid);
  expect([broken.code, broken.lines.join("\n")]).toEqual([1, expect.stringMatching(/outcome +connect_refused/)]);
});

test("a participant is registered, and a key added, only with proof where that is asked for", async () => {
  const proofs: boolean[] = [];
  const asked = <Answer>(prove: boolean, answer: Answer): Answer => {
    proofs.push(prove);
    return answer;
  };
  const answers: Partial<ServiceImpl<typeof ParticipantService>> = {
    registerBank: ({ prove }) => asked(prove, { bank: { guid } }),
    registerMerchant: ({ prove }) => asked(prove, { merchant: { guid } }),
    addParticipantKey: ({ prove }) => asked(prove, { kid: "new" }),
    listParticipantKeys: () => ({}),
    getParticipant: () => ({ participant: { guid } }),
  };
  const transport = createRouterTransport(({ service }) => service(ParticipantService, answers));
  const console = openConsole(createClients(transport));
  for (const wish of [[], ["--prove"]]) {
    await console.run("participants", "register-bank", {}, ...wish);
    await console.run("participants", "register-merchant", {}, ...wish);
    await console.run("participants", "add-key", guid, { kty: "RSA" }, ...wish);
  }
  expect(proofs).toEqual([false, false, false, true, true, true]);
});
