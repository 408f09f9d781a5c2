import { expect, test, vi } from "vitest";
import { identifyBearer } from "../../src/rpc/identify.ts";

const reader = { name: "reports", scopes: ["reader"] as const };
const bearer = (secret: string) => new Headers({ authorization: `Bearer ${secret}` });

test("a credential that was good is not looked up again for a moment", async () => {
  const serviceOf = vi.fn(async () => reader);
  const identify = identifyBearer(serviceOf);
  expect([await identify(bearer("secret")), await identify(bearer("secret"))]).toEqual([reader, reader]);
  expect(serviceOf).toHaveBeenCalledTimes(1);
});

test("a secret that is nobody's is looked up each time: its credential may be made in the next moment", async () => {
  const serviceOf = vi.fn(async (): Promise<typeof reader | undefined> => reader).mockResolvedValueOnce(undefined);
  const identify = identifyBearer(serviceOf);
  expect([await identify(bearer("secret")), await identify(bearer("secret"))]).toEqual([undefined, reader]);
});

test("a look-up that failed says nothing of the credential", async () => {
  const serviceOf = vi.fn(async () => reader).mockRejectedValueOnce(new Error("the database is gone"));
  const identify = identifyBearer(serviceOf);
  await expect(identify(bearer("secret"))).rejects.toThrow("the database is gone");
  expect(await identify(bearer("secret"))).toEqual(reader);
});
