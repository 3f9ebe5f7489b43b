import { createHash } from "node:crypto";
import { newId } from "@warren/ledger";
import { AwsV4Signer } from "aws4fetch";
import { expect, test } from "vitest";
import { PayloadError } from "../../src/payloads/errors.ts";
import { readListing } from "../../src/payloads/s3-listing.ts";
import { createS3Store, type S3StoreOptions } from "../../src/payloads/s3-store.ts";
import { objectKeyFor } from "../../src/payloads/store.ts";
import { refusal } from "./refusal.ts";
import { type S3Server, signatureOf, startS3Server } from "./s3-server.ts";

const example = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  region: "us-east-1",
};
const host = "examplebucket.s3.amazonaws.com";
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Amazon's examples: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
const published: readonly {
  readonly what: string;
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signature: string;
}[] = [
  {
    what: "GET object",
    method: "GET",
    target: "/test.txt",
    headers: { range: "bytes=0-9" },
    body: "",
    signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  },
  {
    what: "PUT object",
    method: "PUT",
    target: "/test%24file.text",
    headers: { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
    body: "Welcome to Amazon S3.",
    signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
  },
  {
    what: "GET bucket lifecycle",
    method: "GET",
    target: "/?lifecycle",
    headers: {},
    body: "",
    signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
  },
  {
    what: "list of a bucket",
    method: "GET",
    target: "/?max-keys=2&prefix=J",
    headers: {},
    body: "",
    signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
  },
];

test.for(published)(
  "the test's verifier computes what Amazon publishes for: $what",
  ({ method, target, headers, body, signature }) => {
    const all = { host, "x-amz-content-sha256": sha256(body), "x-amz-date": "20130524T000000Z", ...headers };
    expect(signatureOf({ method, target, headers: all }, Object.keys(all).sort(), example)).toBe(signature);
  },
);

test.for(published)(
  "the library signs as Amazon publishes for: $what",
  async ({ method, target, headers, body, signature }) => {
    const signer = new AwsV4Signer({
      ...example,
      service: "s3",
      method,
      url: `https://${host}${target}`,
      headers: { ...headers, "x-amz-content-sha256": sha256(body) },
      datetime: "20130524T000000Z",
      allHeaders: true,
    });
    expect(await signer.signature()).toBe(signature);
  },
);

const key = () => objectKeyFor({ jobId: newId(), column: "payload" }, "0123456789abcdef");
const storeOf = (server: S3Server, options: Partial<S3StoreOptions> = {}) =>
  createS3Store({ bucket: "jobs", endpoint: server.endpoint, ...server.credentials, random: () => 0, ...options });

test("objects are written, read and deleted, under a prefix and signed with their hash", async () => {
  await using server = await startS3Server("jobs");
  const store = storeOf(server, { prefix: "/team a/warren/" });
  expect(store.name).toBe("s3://jobs/team a/warren/");
  await store.check();
  const one = key();
  await store.put(one, Buffer.from("hello"));
  expect([...server.objects.keys()]).toEqual([`team a/warren/${one}`]);
  expect(Buffer.from(await store.get(one, 5)).toString()).toBe("hello");
  expect((await refusal(store.get(one, 4))).code).toBe("PAYLOAD_OBJECT_CORRUPT");
  await store.delete(one);
  await store.delete(one);
  expect((await refusal(store.get(one, 5))).code).toBe("PAYLOAD_OBJECT_MISSING");
});

test("a listing goes through all objects of its prefix, in order, page by page", async () => {
  await using server = await startS3Server("jobs");
  const store = storeOf(server, { prefix: "a" });
  await storeOf(server, { prefix: "b" }).put("elsewhere", Buffer.of(1));
  const keys = Array.from({ length: 25 }, key).sort();
  for (const one of keys) await store.put(one, Buffer.alloc(3));
  const listed: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.list({ after, limit: 10 });
    expect(
      page.objects.every(({ bytes, modifiedAt }) => bytes === 3 && Date.now() - modifiedAt.getTime() < 60_000),
    ).toBe(true);
    listed.push(...page.objects.map((object) => object.key));
    after = page.next;
  } while (after !== undefined);
  expect(listed).toEqual(keys);
});

test("what passes is tried again; what does not is told with its reason", async () => {
  await using server = await startS3Server("jobs");
  const store = storeOf(server, { retries: 2 });
  server.faults.push(503, "cut");
  const one = key();
  await store.put(one, Buffer.from("hello"));
  expect([...server.objects.keys()]).toEqual([one]);

  server.faults.push(500, 503, 429);
  const busy = await refusal(store.get(one, 5));
  expect([busy.code, busy.retryable, busy.details["status"]]).toEqual(["PAYLOAD_STORE_UNAVAILABLE", true, 429]);
  server.faults.push("cut", "cut", "cut");
  expect((await refusal(store.list({ after: undefined, limit: 5 }))).code).toBe("PAYLOAD_STORE_UNAVAILABLE");
  server.faults.push(409);
  expect((await refusal(store.delete(one))).code).toBe("PAYLOAD_STORE_REFUSED");
});

test("a store that does not answer is given up in time", async () => {
  await using server = await startS3Server("jobs");
  const hanging = ((_input: unknown, { signal }: RequestInit) =>
    new Promise((_resolve, reject) => {
      signal?.addEventListener("abort", () => reject(new Error("timed out")), { once: true });
    })) as typeof fetch;
  const store = storeOf(server, { retries: 0, timeoutMs: 20, fetch: hanging });
  expect((await refusal(store.check())).code).toBe("PAYLOAD_STORE_UNAVAILABLE");
  await server[Symbol.asyncDispose]();
  expect((await refusal(storeOf(server, { retries: 1 }).check())).message).toContain("ECONNREFUSED");
});

test("a missing bucket, a wrong key, a wrong secret, a wrong region are refused, not retried, and show no secret", async () => {
  await using server = await startS3Server("jobs");
  const one = key();
  const cases = [
    { options: { bucket: "other" }, says: "NoSuchBucket" },
    { options: { accessKeyId: "AKIAOTHER" }, says: "InvalidAccessKeyId" },
    { options: { secretAccessKey: "hunter2" }, says: "SignatureDoesNotMatch" },
    { options: { region: "us-east-1" }, says: "AuthorizationHeaderMalformed" },
  ];
  for (const { options, says } of cases) {
    const store = storeOf(server, options);
    const calls = [
      () => store.put(one, Buffer.of(1)),
      () => store.get(one, 1),
      () => store.list({ after: undefined, limit: 1 }),
      () => store.delete(one),
    ];
    for (const call of calls) {
      const error = await refusal(call());
      expect([error.code, error.details["s3Code"]]).toEqual(["PAYLOAD_STORE_REFUSED", says]);
      expect(error.message).not.toMatch(/hunter2|secret\/with/);
    }
    expect((await refusal(store.check())).code).toBe("PAYLOAD_STORE_REFUSED");
  }
});

test("a body that is changed on its way does not arrive", async () => {
  await using server = await startS3Server("jobs");
  const meddling = (async (input: Request, init: RequestInit) => {
    const headers = Object.fromEntries(input.headers);
    return fetch(input.url, { ...init, method: input.method, headers, body: "changed" });
  }) as typeof fetch;
  const store = storeOf(server, { fetch: meddling });
  const error = await refusal(store.put(key(), Buffer.from("hello")));
  expect([error.message, error.details["s3Code"]]).toEqual([expect.any(String), "XAmzContentSHA256Mismatch"]);
  expect(server.objects.size).toBe(0);
});

test("Amazon's own address has the bucket in its host name", async () => {
  const asked: string[] = [];
  const spying = ((input: Request) => {
    asked.push(input.url);
    return Promise.resolve(new Response());
  }) as typeof fetch;
  await createS3Store({
    bucket: "jobs",
    region: "eu-west-1",
    accessKeyId: "a",
    secretAccessKey: "b",
    fetch: spying,
  }).check();
  expect(asked).toEqual(["https://jobs.s3.eu-west-1.amazonaws.com/"]);
});

test("a listing that is not S3's, or has an object of unknown age, is refused", () => {
  const item =
    "<Contents><Key>a&amp;b&#13;</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><Size>5</Size></Contents>";
  expect(readListing(`<ListBucketResult>${item}</ListBucketResult>`, "s").objects[0]).toEqual({
    key: "a&b\r",
    bytes: 5,
    modifiedAt: new Date("2026-11-01T00:00:00.000Z"),
  });
  expect(() => readListing("<html>", "s")).toThrow(PayloadError);
  expect(() => readListing("<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>", "s")).toThrow(
    PayloadError,
  );
});
