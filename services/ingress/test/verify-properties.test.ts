import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  githubSecret,
  hmacHex,
  judge,
  nowMs,
  nowSeconds,
  type RequestParts,
  request,
  sourceOf,
  standardHeaders,
  standardSecret,
  stripeHeader,
  stripeSecret,
} from "./signed.ts";

/** For each scheme: a source, how its sender signs a body, and the headers that the signature covers. */
const schemes = [
  {
    name: "github",
    source: sourceOf({ provider: "github", secrets: [githubSecret] }),
    sign: (body: string) => ({ "x-hub-signature-256": `sha256=${hmacHex(githubSecret, body)}` }),
  },
  {
    name: "stripe",
    source: sourceOf({ provider: "stripe", secrets: [stripeSecret] }),
    sign: (body: string) => ({ "stripe-signature": stripeHeader(body) }),
  },
  {
    name: "standard-webhooks",
    source: sourceOf({ provider: "standard-webhooks", secrets: [standardSecret] }),
    sign: (body: string) => standardHeaders("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", body),
  },
  {
    name: "hmac",
    source: sourceOf({
      provider: "hmac",
      secrets: ["s3cret"],
      options: { header: "x-sig", prefix: "v0=", content: "v0:{timestamp}:{body}", timestamp: { header: "x-at" } },
    }),
    sign: (body: string) => ({
      "x-sig": `v0=${hmacHex("s3cret", `v0:${nowSeconds}:${body}`)}`,
      "x-at": String(nowSeconds),
    }),
  },
] as const;

const event = fc
  .record({ id: fc.uuid(), type: fc.string({ minLength: 1 }), data: fc.json() })
  .map((value) => JSON.stringify(value));

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

describe.for(schemes)("under $name", ({ source, sign }) => {
  test("what the sender signed is verified, whatever the bytes", () => {
    fc.assert(
      fc.property(event, (body) => {
        expect(judge(source, { headers: sign(body), body }).kind).toBe("verified");
      }),
    );
  });

  test("a body with any one bit flipped is refused", () => {
    fc.assert(
      fc.property(event, fc.nat(), (body, bit) => {
        const verdict = judge(source, { headers: sign(body), body: flipped(Buffer.from(body), bit) });
        expect(verdict).toEqual({ kind: "rejected", cause: "signature_mismatch" });
      }),
    );
  });

  test("a signed header with any one bit flipped is refused", () => {
    const body = '{"id":"evt_1","type":"charge.refunded"}';
    for (const [name, value] of Object.entries(sign(body))) {
      const bytes = Buffer.from(value, "latin1");
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const headers = { ...sign(body), [name]: flipped(bytes, bit).toString("latin1") };
        expect(judge(source, { headers, body }).kind, `${name}, bit ${bit}`).toBe("rejected");
      }
    }
  });

  test("headers of garbage are refused without a throw", () => {
    const text = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
    const names = Object.keys(sign("{}"));
    const header = fc.tuple(fc.oneof(fc.constantFrom(...names), text), text);
    fc.assert(
      fc.property(fc.array(header, { maxLength: 12 }), fc.uint8Array({ maxLength: 100 }), (headers, bytes) => {
        const parts: RequestParts = { rawHeaders: headers.flat(), body: Buffer.from(bytes) };
        expect(source.verify(request(parts), source.secrets, nowMs).kind).toBe("rejected");
      }),
      { numRuns: 500 },
    );
  });

  test("sixteen kilobytes of separators, the most that Node takes, are judged within milliseconds", () => {
    for (const filler of [",", " ", "=", "t=", "v1=,", "v1, ", "v1=0,", `v1,${"A".repeat(44)} `, "sha256="]) {
      const value = filler.repeat(Math.floor(16_000 / filler.length));
      for (const name of Object.keys(sign("{}"))) {
        const before = process.cpuUsage();
        const parts: RequestParts = { headers: { ...sign("{}"), [name]: value }, body: "{}" };
        expect(judge(source, parts).kind).toBe("rejected");
        // processor time, so that a busy machine fails nothing
        expect(process.cpuUsage(before).user).toBeLessThan(100_000);
      }
    }
  });
});
