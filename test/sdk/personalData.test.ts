import { webcrypto } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import {
  decryptPersonalData,
  encryptPersonalData,
  importDecryptionKey,
  importEncryptionKey,
} from "../../src/sdk/personalData.ts";

const person = { debtor_name: "Тарас Шевченко", debtor_id: "1234567890", creditor_name: "City24", creditor_id: "" };
let recipient: KeyPair;
let other: KeyPair;

beforeAll(async () => {
  [recipient, other] = await Promise.all([generateKeyPair(), generateKeyPair()]);
});

describe("personal data", () => {
  test("the recipient bank reads what was encrypted for its signing key", async () => {
    const { fields, encryption } = await encryptPersonalData(person, recipient.publicJwk);
    expect(await decryptPersonalData(fields, encryption, recipient.privateJwk)).toEqual({ ok: true, fields: person });
  });

  test("keys imported once serve many messages, each with a key and nonce of its own", async () => {
    const key = await importEncryptionKey(recipient.publicJwk);
    const [first, second] = await Promise.all([encryptPersonalData(person, key), encryptPersonalData(person, key)]);
    expect(first.encryption.nonce).not.toBe(second.encryption.nonce);
    expect(first.fields.debtor_name).not.toBe(second.fields.debtor_name);
    const own = await importDecryptionKey(recipient.privateJwk);
    for (const message of [first, second]) {
      expect(await decryptPersonalData(message.fields, message.encryption, own)).toEqual({ ok: true, fields: person });
    }
  });

  test("the encoding is standard base64: a 12-byte nonce, a wrapped key, the tag behind the text", async () => {
    const { fields, encryption } = await encryptPersonalData({ debtor_id: "1234567890" }, recipient.publicJwk);
    expect(encryption.nonce).toMatch(/^[A-Za-z0-9+/]{16}$/);
    expect(Buffer.from(encryption.encrypted_key, "base64")).toHaveLength(256);
    expect(encryption.encrypted_key).toMatch(/^[A-Za-z0-9+/]{342}==$/);
    expect(Buffer.from(fields.debtor_id, "base64")).toHaveLength(10 + 16);
  });

  test("another bank, a changed text, key or nonce: nothing is read and nothing is thrown", async () => {
    const { fields, encryption } = await encryptPersonalData(person, recipient.publicJwk);
    const bent = (text: string) => (text.startsWith("A") ? "B" : "A") + text.slice(1);
    const attempts = [
      decryptPersonalData(fields, encryption, other.privateJwk),
      decryptPersonalData({ ...fields, debtor_name: bent(fields.debtor_name) }, encryption, recipient.privateJwk),
      decryptPersonalData(fields, { ...encryption, nonce: bent(encryption.nonce) }, recipient.privateJwk),
      decryptPersonalData(fields, { ...encryption, nonce: "" }, recipient.privateJwk),
      decryptPersonalData(
        fields,
        { ...encryption, encrypted_key: bent(encryption.encrypted_key) },
        recipient.privateJwk,
      ),
      decryptPersonalData(fields, { ...encryption, encrypted_key: "" }, recipient.privateJwk),
      decryptPersonalData(fields, encryption, recipient.publicJwk),
    ];
    expect(await Promise.all(attempts)).toEqual(attempts.map(() => ({ ok: false })));
  });

  test("the key is named by its kid where it has one, and what is not given is not encrypted", async () => {
    const { kid: _left, ...nameless } = recipient.publicJwk;
    const named = await encryptPersonalData({ debtor_id: "1", debtor_name: undefined as never }, recipient.publicJwk);
    expect([Object.keys(named.fields), named.encryption.kid]).toEqual([["debtor_id"], recipient.kid]);
    const bare = await encryptPersonalData({}, nameless);
    expect(bare).toStrictEqual({
      fields: {},
      encryption: { nonce: expect.any(String), encrypted_key: expect.any(String) },
    });
    const imported = await encryptPersonalData({}, await importEncryptionKey(recipient.publicJwk));
    expect(imported.encryption).not.toHaveProperty("kid");
  });

  test("a nonce of another length is refused even where the cipher would take it, and so is a shorter key", async () => {
    const { subtle } = webcrypto;
    const wrap = await importEncryptionKey(recipient.publicJwk);
    async function sealed(keyBytes: number, nonceBytes: number) {
      const [raw, nonce] = [Buffer.alloc(keyBytes, 1), Buffer.alloc(nonceBytes, 2)];
      const key = await subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt"]);
      const text = await subtle.encrypt({ name: "AES-GCM", iv: nonce, tagLength: 128 }, key, Buffer.from("x"));
      const wrapped = await subtle.encrypt({ name: "RSA-OAEP" }, wrap as webcrypto.CryptoKey, raw);
      const base64 = (bytes: ArrayBuffer | Buffer) => Buffer.from(bytes as ArrayBuffer).toString("base64");
      const encryption = { nonce: base64(nonce), encrypted_key: base64(wrapped) };
      return decryptPersonalData({ debtor_id: base64(text) }, encryption, recipient.privateJwk);
    }
    expect(await sealed(32, 12)).toEqual({ ok: true, fields: { debtor_id: "x" } });
    expect(await sealed(32, 16)).toEqual({ ok: false });
    expect(await sealed(16, 12)).toEqual({ ok: false });
  });

  test("an imported key serves its purpose alone, and cannot be taken out again", async () => {
    expect(await importEncryptionKey(recipient.publicJwk)).toMatchObject({ extractable: false, usages: ["encrypt"] });
    expect(await importDecryptionKey(recipient.privateJwk)).toMatchObject({ extractable: false, usages: ["decrypt"] });
  });

  test("only an RSA key can be encrypted for", async () => {
    const { publicJwk, privateJwk } = await generateKeyPair("ES256");
    const why = "Personal data can be encrypted for RSA keys only";
    await expect(importEncryptionKey(publicJwk)).rejects.toThrow(why);
    await expect(importDecryptionKey(privateJwk)).rejects.toThrow(why);
  });
});
