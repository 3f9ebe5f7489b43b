import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A signed request as it arrived, byte for byte. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

const hex = (text: string | Buffer): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/**
 * Signature Version 4 from its specification, written apart from the library that signs: tested against the examples that Amazon
 * publishes ("Authenticating Requests: Using the Authorization Header").
 */
export function signatureOf(
  request: SignedRequest,
  signedHeaders: readonly string[],
  credentials: Credentials,
): string {
  const { method, target, headers } = request;
  const [path = "", query = ""] = target.split("?");
  const parameters = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name = "", value = ""] = pair
        .split("=")
        .map((part) => encode(decodeURIComponent(part.replaceAll("+", " "))));
      return [name, value] as const;
    })
    .sort(([left], [right]) => (left < right ? -1 : 1));
  const canonical = [
    method,
    path
      .split("/")
      .map((part) => encode(decodeURIComponent(part)))
      .join("/"),
    parameters.map(([name, value]) => `${name}=${value}`).join("&"),
    ...signedHeaders.map((name) => `${name}:${(headers[name] ?? "").trim().replaceAll(/ +/g, " ")}`),
    "",
    signedHeaders.join(";"),
    headers["x-amz-content-sha256"],
  ].join("\n");
  const at = headers["x-amz-date"] ?? "";
  const day = at.slice(0, 8);
  const scope = `${day}/${credentials.region}/s3/aws4_request`;
  const key = [credentials.region, "s3", "aws4_request"].reduce(hmac, hmac(`AWS4${credentials.secretAccessKey}`, day));
  return hmac(key, ["AWS4-HMAC-SHA256", at, scope, hex(canonical)].join("\n")).toString("hex");
}

/** A bucket in memory that answers only requests whose signature and body hash it has recomputed. */
export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly credentials: Credentials;
  readonly objects: Map<string, { body: Buffer; modifiedAt: Date }>;
  /** Requests that were let in. */
  readonly log: string[];
  /** What the next requests are answered instead: a status, or `cut` for no answer at all. */
  readonly faults: (number | "cut")[];
}

export async function startS3Server(bucket: string): Promise<S3Server> {
  const credentials = { accessKeyId: "AKIATEST", secretAccessKey: "secret/with+signs", region: "eu-north-1" };
  const objects: S3Server["objects"] = new Map();
  const log: string[] = [];
  const faults: (number | "cut")[] = [];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const fault = faults.shift();
    if (fault === "cut") return void request.socket.destroy();
    if (fault !== undefined) return refuse(response, fault, "InternalError");
    const wrong = mistrust(request, body);
    if (wrong !== undefined) return refuse(response, 403, wrong);
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://server");
    const [, name, ...rest] = pathname.split("/").map(decodeURIComponent);
    log.push(`${request.method} ${pathname}`);
    if (name !== bucket) return refuse(response, 404, "NoSuchBucket");
    const key = rest.join("/");
    if (key === "") return request.method === "HEAD" ? void response.end() : list(response, searchParams);
    if (request.method === "PUT") {
      objects.set(key, { body, modifiedAt: new Date() });
    } else if (request.method === "DELETE") {
      objects.delete(key);
      response.statusCode = 204;
    } else {
      const found = objects.get(key);
      if (found === undefined) return refuse(response, 404, "NoSuchKey");
      return void response.end(found.body);
    }
    response.end();
  }

  function mistrust(request: IncomingMessage, body: Buffer): string | undefined {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const [, keyId, scope, signed, signature] =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
        headers["authorization"] ?? "",
      ) ?? [];
    if (signed === undefined) return "AccessDenied";
    if (keyId !== credentials.accessKeyId) return "InvalidAccessKeyId";
    const at = headers["x-amz-date"] ?? "";
    if (scope !== `${at.slice(0, 8)}/${credentials.region}/s3/aws4_request`) return "AuthorizationHeaderMalformed";
    const sent = Date.parse(at.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
    if (!(Math.abs(sent - Date.now()) < 900_000)) return "RequestTimeTooSkewed";
    const names = signed.split(";");
    // host and every x-amz header must be covered
    const due = ["host", ...Object.keys(headers).filter((name) => name.startsWith("x-amz-"))];
    if (due.some((name) => !names.includes(name))) return "AccessDenied";
    if (headers["x-amz-content-sha256"] !== hex(body)) return "XAmzContentSHA256Mismatch";
    const target = request.url ?? "/";
    const expected = signatureOf({ method: request.method ?? "", target, headers }, names, credentials);
    return expected === signature ? undefined : "SignatureDoesNotMatch";
  }

  function list(response: ServerResponse, query: URLSearchParams): void {
    const [prefix, after] = [query.get("prefix") ?? "", query.get("start-after") ?? ""];
    const limit = Math.min(Number(query.get("max-keys") ?? 1_000), 1_000);
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, limit).map((key) => {
      const { body, modifiedAt } = objects.get(key) ?? { body: Buffer.of(), modifiedAt: new Date() };
      const name = key.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
      return `<Contents><Key>${name}</Key><LastModified>${modifiedAt.toISOString()}</LastModified><Size>${body.length}</Size></Contents>`;
    });
    const truncated = `<IsTruncated>${keys.length > limit}</IsTruncated>`;
    response.end(
      `<?xml version="1.0"?><ListBucketResult><Name>${bucket}</Name>${truncated}${page.join("")}</ListBucketResult>`,
    );
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    credentials,
    objects,
    log,
    faults,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.statusCode = status;
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
}
