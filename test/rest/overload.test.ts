import { beforeAll, expect, test } from "vitest";
import { ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { ask, type Keys, makeKeys, ORDER_ID, refusedByCore, startRest } from "./fixture.ts";

let keys: Keys;
beforeAll(async () => {
  keys = await makeKeys();
});

test("more requests than one process works on are told at once to come again, and it answers as before afterwards", async () => {
  const held: (() => void)[] = [];
  const rest = await startRest(
    keys,
    {
      orders: {
        getOrder: async () => {
          await new Promise<void>((resolve) => held.push(resolve));
          throw refusedByCore(ErrorReason.ORDER_NOT_FOUND);
        },
      },
    },
    { maxInFlight: 2 },
  );
  try {
    const status = `/api/v1/merchants/order/status?id=${ORDER_ID}`;
    const working = [ask(rest, status), ask(rest, status)];
    await expect.poll(() => held.length).toBe(2);
    const refused = await ask(rest, status);
    expect(refused).toMatchObject({ status: 503, json: { code: "OVERLOADED" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await ask(rest, "/healthz")).toMatchObject({ status: 200 });
    for (const finish of held) finish();
    expect((await Promise.all(working)).map((answer) => answer.status)).toEqual([400, 400]);
    const next = ask(rest, status);
    await expect.poll(() => held.length).toBe(3);
    held[2]?.();
    expect(await next).toMatchObject({ status: 400 });
  } finally {
    await rest.stop();
  }
});
