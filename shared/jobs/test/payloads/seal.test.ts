import { hkdfSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@warren/ledger";
import { propertyRuns } from "@warren/testing/properties";
import { assert, asyncProperty, constantFrom, jsonValue, nat } from "fast-check";
import { afterAll, expect, test } from "vitest";
import { decrypt, encrypt, type Place } from "../../src/payloads/cipher.ts";
import { packResult, type Sealed, unpackResult } from "../../src/payloads/envelope.ts";
import { PayloadError } from "../../src/payloads/errors.ts";
import { createFileStore } from "../../src/payloads/file-store.ts";
import { createKeyRing } from "../../src/payloads/key-ring.ts";
import { openPayload, openResult, resealPayload, sealPayload, sealResult } from "../../src/payloads/payload.ts";
import { openText, type Payloads, type SealPolicy, sealText } from "../../src/payloads/seal.ts";
import { objectKeyFor, ownerOf } from "../../src/payloads/store.ts";
import { refusal } from "./refusal.ts";

const directory = mkdtempSync(join(tmpdir(), "warren-seal-"));
afterAll(() => rmSync(directory, { recursive: true }));

const keyRing = createKeyRing({ current: "k1", keys: { k1: randomBytes(32), k0: randomBytes(32) } });
const payloads = { keyRing, store: createFileStore({ directory }) } satisfies Payloads;
const place = (column: Place["column"] = "payload"): Place => ({ jobId: newId(), name: "mail.send", column });
const policies: readonly SealPolicy[] = [
  { encrypt: false, offloadAboveBytes: undefined },
  { encrypt: true, offloadAboveBytes: undefined },
  { encrypt: false, offloadAboveBytes: 20 },
  { encrypt: true, offloadAboveBytes: 20 },
];

const open = (where: Place, { form, value }: Sealed, by: Payloads = payloads) =>
  openText(where, { form: form ?? "plain", value }, by);

test("property: whatever JSON goes in comes out, in every form, as payload and as result", async () => {
  await assert(
    asyncProperty(jsonValue(), constantFrom(...policies), async (given, policy) => {
      const text = JSON.stringify(given);
      const where = place();
      const sealed = await sealText(where, text, policy, payloads);
      const stored = { id: where.jobId, name: where.name, payload: sealed.value, payloadForm: sealed.form };
      // as it comes back from jsonb
      const read = JSON.parse(JSON.stringify(stored)) as typeof stored;
      expect(JSON.stringify(await openPayload(read, payloads))).toBe(text);

      const job = { id: where.jobId, name: where.name };
      const kept: unknown = await sealResult(job, { result: given, text }, policy, payloads);
      const result: unknown = await openResult({ ...job, result: JSON.parse(JSON.stringify(kept)) }, payloads);
      expect(JSON.stringify(result)).toBe(text);
    }),
    { numRuns: propertyRuns(150) },
  );
});

test("what is encrypted cannot be read in the row or in the store, and looks different each time", async () => {
  for (const policy of policies.filter(({ encrypt }) => encrypt)) {
    const where = place();
    const text = JSON.stringify({ card: "4111 1111 1111 1111", note: "x".repeat(50) });
    const [one, two] = [await sealText(where, text, policy, payloads), await sealText(where, text, policy, payloads)];
    expect(one).not.toEqual(two);
    expect(JSON.stringify(one)).not.toContain("4111");
    const { object } = one.value as { object?: string };
    const stored = object === undefined ? "" : readFileSync(join(directory, object)).toString("latin1");
    expect(stored).not.toContain("4111");
  }
});

test("property: any changed bit of an envelope is refused", async () => {
  const where = place();
  for (const policy of policies.slice(1)) {
    const { form, value } = await sealText(
      where,
      JSON.stringify({ note: "something of some length" }),
      policy,
      payloads,
    );
    await assert(
      asyncProperty(constantFrom(...Object.keys(value as object)), nat(), nat(6), async (field, at, bit) => {
        const fields = { ...(value as Record<string, string | number>) };
        const before = fields[field];
        if (typeof before === "number") fields[field] = before ^ (1 << bit);
        else {
          const bytes = Buffer.from(before!);
          bytes[at % bytes.length]! ^= 1 << bit;
          fields[field] = bytes.toString("latin1");
        }
        const error = await refusal(openText(where, { form: form!, value: fields }, payloads));
        expect(error.code).toMatch(/^PAYLOAD_(SEAL_BROKEN|KEY_UNKNOWN|OBJECT_MISSING|OBJECT_CORRUPT)$/);
        expect(error.message).not.toContain("something");
      }),
      { numRuns: propertyRuns(150) },
    );
  }
});

test("property: any changed bit of an object in the store is refused", async () => {
  for (const policy of policies.slice(2)) {
    const where = place();
    const sealed = await sealText(where, JSON.stringify({ note: "something of some length" }), policy, payloads);
    const path = join(directory, (sealed.value as { object: string }).object);
    const whole = readFileSync(path);
    await assert(
      asyncProperty(nat(whole.length - 1), nat(7), async (at, bit) => {
        const changed = Buffer.from(whole);
        changed[at]! ^= 1 << bit;
        writeFileSync(path, changed);
        expect((await refusal(open(where, sealed))).code).toBe("PAYLOAD_OBJECT_CORRUPT");
      }),
      { numRuns: propertyRuns(60) },
    );
    for (const wrong of [whole.subarray(1), Buffer.concat([whole, Buffer.of(0)]), Buffer.alloc(0)]) {
      writeFileSync(path, wrong);
      expect((await refusal(open(where, sealed))).code).toBe("PAYLOAD_OBJECT_CORRUPT");
    }
  }
});

/** Where it must not open; the name is bound by encryption only. */
const others = (where: Place, { encrypt }: SealPolicy): readonly Place[] => [
  { ...where, jobId: newId() },
  { ...where, column: where.column === "payload" ? "result" : "payload" },
  ...(encrypt ? [{ ...where, name: "mail.sen" }] : []),
];

test("property: nothing opens at another job, under another name, or in another column", async () => {
  await assert(
    asyncProperty(
      jsonValue(),
      constantFrom(...policies.slice(1)),
      constantFrom("payload", "result"),
      async (given, policy, column) => {
        const text = JSON.stringify({ given, filler: "x".repeat(20) });
        const where = place(column);
        const sealed = await sealText(where, text, policy, payloads);
        for (const other of others(where, policy))
          expect((await refusal(open(other, sealed))).code).toBe("PAYLOAD_SEAL_BROKEN");
        expect(await open(where, sealed)).toBe(text);
      },
    ),
    { numRuns: propertyRuns(40) },
  );
});

test("a job's id is the same in either case", () => {
  const where = place();
  const sealed = encrypt({ ...where, jobId: where.jobId.toUpperCase() }, "1", keyRing);
  expect(decrypt(where, sealed, keyRing)).toBe("1");
});

test("the format is what the documentation says, so that other programs can read it", async () => {
  const where = place();
  const { value } = await sealText(where, '{"a":1}', { encrypt: true, offloadAboveBytes: undefined }, payloads);
  const { kid, iv, data } = value as { kid: string; iv: string; data: string };
  const bytes = Buffer.from(data, "base64");
  const raw = Buffer.from(hkdfSync("sha256", keyRing.find(kid)!, where.jobId, "warren payload key 1", 32));
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
  const additionalData = Buffer.from(JSON.stringify(["warren payload 1", where.jobId, "mail.send", "payload"]));
  const clear = await crypto.subtle.decrypt(
    { name: "AES-GCM", iv: Buffer.from(iv, "base64"), additionalData },
    key,
    bytes,
  );
  expect([Buffer.from(iv, "base64").length, Buffer.from(clear).toString()]).toEqual([12, '{"a":1}']);
});

test("an old key still opens; an unknown one, or none at all, names itself and what is known", async () => {
  const where = place();
  const old = createKeyRing({ current: "k0", keys: { k0: Buffer.from(keyRing.find("k0")!) } });
  const sealed = await sealText(where, '"x"', policies[1]!, { keyRing: old });
  expect(await open(where, sealed)).toBe('"x"');
  const strange = createKeyRing({ current: "k9", keys: { k9: randomBytes(32) } });
  const unknown = await refusal(open(where, sealed, { keyRing: strange }));
  expect([unknown.code, unknown.details["keyId"], unknown.retryable]).toEqual(["PAYLOAD_KEY_UNKNOWN", "k0", false]);
  expect(unknown.message).toContain("known: k9");
  expect((await refusal(open(where, sealed, {}))).message).toContain("no key ring");
  const same = createKeyRing({ current: "k0", keys: { k0: randomBytes(32) } });
  expect((await refusal(open(where, sealed, { keyRing: same }))).code).toBe("PAYLOAD_SEAL_BROKEN");
});

const missing = (policy: SealPolicy) => refusal(sealText(place(), '"123456789012345678901234567890"', policy, {}));
test("what this process lacks is said before anything is written", async () => {
  expect((await missing(policies[1]!)).code).toBe("PAYLOAD_KEY_RING_MISSING");
  expect((await missing(policies[2]!)).code).toBe("PAYLOAD_STORE_MISSING");
});

test.for([
  { form: "zstd", value: {}, code: "PAYLOAD_FORM_UNKNOWN" },
  { form: "constructor", value: {}, code: "PAYLOAD_FORM_UNKNOWN" },
  { form: "a256gcm", value: null, code: "PAYLOAD_SEAL_BROKEN" },
  { form: "a256gcm", value: { kid: "k1", iv: "AAAA", data: "" }, code: "PAYLOAD_SEAL_BROKEN" },
  { form: "a256gcm", value: { kid: "k1", iv: "A".repeat(16), data: "" }, code: "PAYLOAD_SEAL_BROKEN" },
  { form: "a256gcm", value: { kid: "k1", iv: "A".repeat(16), data: "AA==" }, code: "PAYLOAD_SEAL_BROKEN" },
  {
    form: "object",
    value: { object: "../../etc/passwd", bytes: 1, sha256: "a".repeat(64) },
    code: "PAYLOAD_SEAL_BROKEN",
  },
])("an envelope that nobody wrote is refused: $form $value", async ({ form, value, code }) => {
  expect((await refusal(openText(place(), { form, value }, payloads))).code).toBe(code);
});

test("a result that happens to look like a sealed one is still itself", async () => {
  const job = { id: newId(), name: "mail.send" };
  for (const result of [{ $warren: { form: "a256gcm", value: {} } }, { $warren: 1, other: 2 }, { $warren: null }]) {
    const text = JSON.stringify(result);
    const kept: unknown = await sealResult(job, { result, text }, policies[0]!, {});
    expect(await openResult({ ...job, result: kept }, {})).toEqual(result);
  }
  expect(() => unpackResult("it", { $warren: 1 })).toThrow(PayloadError);
  expect(packResult({ form: undefined, value: undefined })).toBeUndefined();
});

test("an edited payload stays as the stored one was: encrypted under the current key, and offloaded when too large", async () => {
  const stored = { id: newId(), name: "mail.send", payloadForm: "a256gcm" };
  const small = await sealPayload(stored, { a: 1 }, payloads);
  expect([small.payloadForm, (small.payload as { kid: string }).kid]).toEqual(["a256gcm", "k1"]);
  expect(await openPayload({ ...stored, ...small }, payloads)).toEqual({ a: 1 });
  const large = await sealPayload({ ...stored, payloadForm: undefined }, "x".repeat(1_048_576), payloads);
  expect(large.payloadForm).toBe("object");
  expect(await sealPayload({ ...stored, payloadForm: undefined }, { a: 1 }, {})).toEqual({
    payload: { a: 1 },
    payloadForm: undefined,
  });
  await expect(sealPayload(stored, { a: Number.NaN }, payloads)).rejects.toThrow("payload of mail.send.a");
});

test("what a compensation carries is opened where its step was sealed, and can be sealed anew as a whole", async () => {
  const step = place();
  const sealed = await sealText(step, '{"card":"4111"}', policies[1]!, payloads);
  const result: unknown = await sealResult(
    { id: step.jobId, name: step.name },
    { result: 5, text: "5" },
    policies[1]!,
    payloads,
  );
  const stored = {
    id: newId(),
    name: "undo",
    payload: {
      payload: sealed.value,
      result,
      flow: { id: "f" },
      step: { id: step.jobId, name: step.name, form: sealed.form },
    },
    payloadForm: "a256gcm+undo",
  };
  const clear = { payload: { card: "4111" }, result: 5, flow: { id: "f" } };
  expect(await openPayload(stored, payloads)).toEqual(clear);
  const anew = await resealPayload(stored, await openPayload(stored, payloads), payloads);
  expect(anew.payloadForm).toBe("a256gcm");
  expect(await openPayload({ ...stored, ...anew }, payloads)).toEqual(clear);
  const elsewhere = { ...stored.payload, step: { ...stored.payload.step, id: newId() } };
  expect((await refusal(openPayload({ ...stored, payload: elsewhere }, payloads))).code).toBe("PAYLOAD_SEAL_BROKEN");
});

test("objects are spread over 256 folders, each under its job's own id", () => {
  const keys = Array.from({ length: 3_000 }, () => {
    const jobId = newId();
    const key = objectKeyFor({ jobId, column: "result" }, "0".repeat(16));
    expect(ownerOf(key)).toEqual({ jobId, column: "result" });
    return key;
  });
  expect(new Set(keys.map((key) => key.slice(0, 2))).size).toBe(256);
  expect(["x", "00/x.payload.1", `${keys[0]}.bak`, `a/${keys[0]}`].map(ownerOf)).toEqual(Array(4).fill(undefined));
});
