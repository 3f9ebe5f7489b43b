import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AwsClient } from "aws4fetch";
import { PayloadError } from "./errors.ts";
import { readListing } from "./s3-listing.ts";
import type { PayloadStore } from "./store.ts";

export interface S3StoreOptions {
  readonly bucket: string;
  /** Folder inside the bucket. Default none. */
  readonly prefix?: string;
  /** `http://localhost:9000` for MinIO, Ceph, Garage … Default Amazon's of the region. */
  readonly endpoint?: string;
  /** Default `us-east-1`. */
  readonly region?: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** `https://endpoint/bucket/key` rather than `https://bucket.endpoint/key`. Default: with an `endpoint`, yes. */
  readonly pathStyle?: boolean;
  /** For one request, its answer included. Default 30 s. */
  readonly timeoutMs?: number;
  /** How often a request that got no answer, or "later", is sent again. Default 3. */
  readonly retries?: number;
  /** Default the global `fetch`. */
  readonly fetch?: typeof fetch;
  readonly random?: () => number;
}

const firstPauseMs = 100;

interface Call {
  readonly method: "GET" | "PUT" | "DELETE" | "HEAD";
  /** Without the prefix; empty for the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly maxBytes?: number;
}

interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Payloads in any store that speaks S3 with Signature Version 4: PutObject, GetObject, DeleteObject, ListObjectsV2, HeadBucket. */
export function createS3Store(options: S3StoreOptions): PayloadStore {
  const {
    bucket,
    region = "us-east-1",
    accessKeyId,
    secretAccessKey,
    sessionToken,
    retries = 3,
    timeoutMs = 30_000,
  } = options;
  const send = options.fetch ?? fetch;
  const random = options.random ?? Math.random;
  const prefix = folderOf(options.prefix);
  const base = bucketUrl(options, region);
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service: "s3",
    region,
    retries: 0,
  });

  /** Every call here may be repeated: objects are written once, under keys of their own. */
  async function call(request: Call): Promise<Answer> {
    for (let tried = 0; ; tried += 1) {
      const { answer, failure } = await callOnce(request);
      if (answer !== undefined && !isPassing(answer.status)) return answer;
      if (tried >= retries) throw unavailable(request, answer, failure);
      await sleep(firstPauseMs * 2 ** tried * (0.5 + random()));
    }
  }

  async function callOnce(request: Call): Promise<{ readonly answer?: Answer; readonly failure?: unknown }> {
    const { method, key, query = {}, body, maxBytes = Number.POSITIVE_INFINITY } = request;
    const url = new URL(base);
    if (key !== "") url.pathname = `${url.pathname.replace(/\/$/, "")}/${encodePath(`${prefix}${key}`)}`;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    // the hash of the body is signed: what arrives is what was sent, even over plain HTTP
    const hash = createHash("sha256")
      .update(body ?? "")
      .digest("hex");
    const signed = await client.sign(url, {
      method,
      headers: { "x-amz-content-sha256": hash },
      // sound: nobody puts a payload into shared memory, the one thing that a request does not take
      ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    });
    try {
      const response = await send(signed, { signal: AbortSignal.timeout(timeoutMs), redirect: "manual" });
      return { answer: { status: response.status, body: await readBody(response, maxBytes, key) } };
    } catch (failure) {
      if (failure instanceof PayloadError) throw failure;
      return { failure };
    }
  }

  function unavailable(request: Call, answer: Answer | undefined, failure: unknown): PayloadError {
    const why = answer === undefined ? describe(failure) : `status ${answer.status}`;
    return new PayloadError("PAYLOAD_STORE_UNAVAILABLE", `payload store ${name}: ${request.method} failed: ${why}`, {
      details: answer === undefined ? {} : { status: answer.status },
      cause: failure,
    });
  }

  function refused(request: Call, { status, body }: Answer): PayloadError {
    const s3Code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(Buffer.from(body.subarray(0, 4_096)).toString("utf8"))?.[1];
    const why = s3Code ?? (status === 404 ? "no such bucket" : "refused");
    return new PayloadError(
      "PAYLOAD_STORE_REFUSED",
      `payload store ${name}: ${request.method} answered ${status}: ${why}`,
      {
        details: { status, ...(s3Code === undefined ? {} : { s3Code }) },
      },
    );
  }

  const name = `s3://${bucket}/${prefix}`;
  return {
    name,
    async check() {
      const request: Call = { method: "HEAD", key: "" };
      const answer = await call(request);
      if (answer.status !== 200) throw refused(request, answer);
    },
    async put(key, body) {
      const request: Call = { method: "PUT", key, body };
      const answer = await call(request);
      if (answer.status !== 200) throw refused(request, answer);
    },
    async get(key, maxBytes) {
      const request: Call = { method: "GET", key, maxBytes };
      const answer = await call(request);
      if (answer.status === 200) return answer.body;
      if (answer.status === 404 && !isNoBucket(answer)) {
        throw new PayloadError("PAYLOAD_OBJECT_MISSING", `object ${key} is not in payload store ${name}`, {
          details: { object: key },
        });
      }
      throw refused(request, answer);
    },
    async delete(key) {
      const request: Call = { method: "DELETE", key };
      const answer = await call(request);
      if (![200, 204].includes(answer.status) && (answer.status !== 404 || isNoBucket(answer)))
        throw refused(request, answer);
    },
    async list({ after, limit }) {
      const query = {
        "list-type": "2",
        "max-keys": String(Math.min(1_000, limit)),
        ...(prefix === "" ? {} : { prefix }),
        ...(after === undefined ? {} : { "start-after": `${prefix}${after}` }),
      };
      const request: Call = { method: "GET", key: "", query };
      const answer = await call(request);
      if (answer.status !== 200) throw refused(request, answer);
      const { objects, isTruncated } = readListing(Buffer.from(answer.body).toString("utf8"), name);
      const own = objects.map((object) => ({ ...object, key: object.key.slice(prefix.length) }));
      return { objects: own, next: isTruncated ? own.at(-1)?.key : undefined };
    },
  };
}

function bucketUrl({ bucket, endpoint, pathStyle = endpoint !== undefined }: S3StoreOptions, region: string): URL {
  const url = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
  if (pathStyle) url.pathname = `${url.pathname.replace(/\/+$/, "")}/${bucket}`;
  else url.hostname = `${bucket}.${url.hostname}`;
  return url;
}

function folderOf(prefix = ""): string {
  const clean = prefix.replace(/^\/+|\/+$/g, "");
  return clean === "" ? "" : `${clean}/`;
}

function encodePath(key: string): string {
  return key.split("/").map(encodeURIComponent).join("/");
}

/** Timeouts, too many requests, faults of the server. */
function isPassing(status: number): boolean {
  return status >= 500 || status === 429 || status === 408;
}

function isNoBucket({ body }: Answer): boolean {
  return Buffer.from(body.subarray(0, 4_096)).includes("<Code>NoSuchBucket</Code>");
}

async function readBody(response: Response, maxBytes: number, key: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const { body } = response;
  // lib.dom's stream has no type for its items
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    // an error's text is no object
    if (response.status === 200 && bytes > maxBytes) {
      throw new PayloadError("PAYLOAD_OBJECT_CORRUPT", `object ${key} is larger than what was written`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function describe(failure: unknown): string {
  if (!(failure instanceof Error)) return String(failure);
  const { cause } = failure;
  if (!(cause instanceof Error)) return failure.message;
  return "code" in cause ? String(cause.code) : cause.message;
}
