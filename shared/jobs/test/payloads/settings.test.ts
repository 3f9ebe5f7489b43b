import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { createPayloadStore, type PayloadStoreOptions } from "../../src/payloads/create-store.ts";
import { openPayloads, payloadSettings } from "../../src/payloads/settings.ts";

const secrets = { AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "hunter2" };

test("what is not set is not there", () => {
  expect(openPayloads(payloadSettings.parse({}))).toEqual({ keyRing: undefined, store: undefined });
});

test("keys, directories and buckets are read from the environment", () => {
  const key = randomBytes(32);
  const file = openPayloads({
    WARREN_PAYLOAD_KEYS: `a:${key.toString("base64")}`,
    WARREN_PAYLOAD_STORE: "file:///var/lib/warren",
  });
  expect([file.keyRing?.current, file.store?.name]).toEqual(["a", "file:///var/lib/warren"]);
  const url = "s3://jobs/team/a?endpoint=http://localhost:9000&region=eu-north-1&pathStyle=true";
  expect(openPayloads({ ...secrets, WARREN_PAYLOAD_STORE: url }).store?.name).toBe("s3://jobs/team/a/");
});

test.for<{ url: string; says: string }>([
  { url: "/var/lib/warren", says: "expected file:///directory" },
  { url: "file://var/lib/warren", says: "three slashes" },
  { url: "ftp://host/x", says: "got ftp://" },
  { url: "s3://jobs?endpiont=http://x", says: 'unknown parameter "endpiont"' },
  { url: "s3://jobs?endpoint=localhost:9000", says: '"endpoint"' },
  { url: "s3://jobs?pathStyle=yes", says: "pathStyle" },
  { url: "s3://key:hunter2@jobs", says: "credentials do not belong" },
  { url: "s3://ab", says: '"bucket"' },
])("the store $url is refused, and no secret is shown", ({ url, says }) => {
  const open = () => openPayloads({ ...secrets, WARREN_PAYLOAD_STORE: url });
  expect(open).toThrow(expect.objectContaining({ code: "PAYLOAD_STORE_INVALID" }));
  expect(open).toThrow(says);
  expect(open).not.toThrow("hunter2");
});

test("a bucket without credentials is refused", () => {
  expect(() => openPayloads({ WARREN_PAYLOAD_STORE: "s3://jobs" })).toThrow('"accessKeyId"');
});

test.for<{ options: object; path: string }>([
  { options: { kind: "file", directory: "" }, path: "directory" },
  { options: { kind: "file", directory: "/x", folder: "/y" }, path: "folder" },
  { options: { kind: "s3", bucket: "jobs", accessKeyId: "a", secretAccessKey: "b", retries: -1 }, path: "retries" },
  {
    options: { kind: "s3", bucket: "jobs", accessKeyId: "a", secretAccessKey: "b", timeoutMs: Number.NaN },
    path: "timeoutMs",
  },
])("$options is refused", ({ options, path }) => {
  expect(() => createPayloadStore(options as PayloadStoreOptions)).toThrow(
    expect.objectContaining({ code: "PAYLOAD_STORE_INVALID", details: { path } }),
  );
});
