import { propertyRuns } from "@warren/testing/properties";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { providerNames } from "../src/sources/providers.ts";
import { productSchemes } from "./product-schemes.ts";
import { schemes } from "./schemes.ts";
import { judge, nowMs, type RequestParts, request, sourceOf } from "./signed.ts";

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

function plainBody(id: string, text: string): string {
  return JSON.stringify({ id, type: `t${text}`, data: text });
}

describe.for([...schemes, ...productSchemes])("under $name", (scheme) => {
  const { settings, secrets, sign, body: bodyOf = plainBody, coversBody = true, uncovered = [] } = scheme;
  const source = sourceOf({ ...settings, secrets });
  const event = fc.tuple(fc.uuid(), fc.string({ unit: "binary" })).map(([id, text]) => bodyOf(id, text));
  const which = fc.constantFrom<0 | 1>(0, 1);
  const fixed = bodyOf("5d9d0f3c-0b52-4f0b-9b5a-0a1f6d8f7c11", "x");
  const names = Object.keys(sign(fixed, 0));

  test("what is signed with any of the current secrets is verified, whatever the bytes", () => {
    fc.assert(
      fc.property(event, which, (body, secret) => {
        expect(judge(source, { headers: sign(body, secret), body }).kind).toBe("verified");
      }),
    );
  });

  test("what is signed with a secret of yesterday or of tomorrow is refused", () => {
    const [first, second] = secrets;
    const past = sourceOf({ ...settings, secrets: [first, { value: second, notAfter: "2026-11-22T11:59:59Z" }] });
    const coming = sourceOf({ ...settings, secrets: [first, { value: second, notBefore: "2026-11-22T12:00:01Z" }] });
    for (const rotated of [past, coming]) {
      expect(judge(rotated, { headers: sign(fixed, 0), body: fixed }).kind).toBe("verified");
      expect(judge(rotated, { headers: sign(fixed, 1), body: fixed })).toEqual({
        kind: "rejected",
        cause: "signature_mismatch",
      });
    }
  });

  test("nothing is verified or refused while no secret is current", () => {
    const none = sourceOf({ ...settings, secrets: [{ value: secrets[0], notAfter: "2020-01-01T00:00:00Z" }] });
    expect(judge(none, { headers: sign(fixed, 0), body: fixed })).toEqual({ kind: "unavailable" });
  });

  if (coversBody) {
    test("a body with any one bit flipped is refused", () => {
      fc.assert(
        fc.property(event, fc.nat(), (body, bit) => {
          const verdict = judge(source, { headers: sign(body, 0), body: flipped(Buffer.from(body), bit) });
          expect(verdict).toEqual({ kind: "rejected", cause: "signature_mismatch" });
        }),
      );
    });
  }

  test("a signed header with any one bit flipped is refused", () => {
    const whole = sign(fixed, 0);
    for (const [name, value] of Object.entries(whole)) {
      if (uncovered.includes(name)) continue;
      const bytes = Buffer.from(value, "latin1");
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const headers = { ...whole, [name]: flipped(bytes, bit).toString("latin1") };
        expect(judge(source, { headers, body: fixed }).kind, `${name}, bit ${bit}`).toBe("rejected");
      }
    }
  });

  test.for(names)("a request without %s, or with two of it, is refused", (name) => {
    const whole = sign(fixed, 0);
    const without = Object.fromEntries(Object.entries(whole).filter(([other]) => other !== name));
    expect(judge(source, { headers: without, body: fixed }).kind).toBe("rejected");
    const rawHeaders = [...Object.entries(whole).flat(), name.toUpperCase(), whole[name] ?? ""];
    expect(judge(source, { rawHeaders, body: fixed })).toEqual({ kind: "rejected", cause: "header_repeated" });
  });

  test("headers of garbage are refused without a throw", () => {
    const text = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
    const header = fc.tuple(fc.oneof(fc.constantFrom(...names), text), text);
    fc.assert(
      fc.property(fc.array(header, { maxLength: 12 }), fc.uint8Array({ maxLength: 100 }), (headers, bytes) => {
        const parts: RequestParts = { rawHeaders: headers.flat(), body: Buffer.from(bytes) };
        expect(source.verify(request(parts), source.secrets, nowMs).kind).toBe("rejected");
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  test("a body of garbage, signed or not, never makes a throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: "binary" })), fc.boolean(), (body, signed) => {
        const { kind } = judge(source, { headers: signed ? sign(body, 0) : {}, body });
        expect(signed ? ["verified", "rejected", "challenge"] : ["rejected"]).toContain(kind);
      }),
    );
  });

  test("sixteen kilobytes of separators, the most that Node takes, are judged within milliseconds", () => {
    const fillers = [
      ",",
      " ",
      "=",
      ";",
      "t=",
      "v1=,",
      "v1, ",
      "v1=0,",
      `v1,${"A".repeat(44)} `,
      "sha256=",
      "h1=;",
      "ts=",
    ];
    const whole = sign(fixed, 0);
    for (const filler of fillers) {
      const value = filler.repeat(Math.floor(16_000 / filler.length));
      for (const name of names) {
        const parts: RequestParts = { headers: { ...whole, [name]: value }, body: fixed };
        const before = process.cpuUsage();
        expect(judge(source, parts).kind).toBe("rejected");
        // processor time, so that a busy machine fails nothing
        expect(process.cpuUsage(before).user).toBeLessThan(100_000);
      }
    }
  });
});

/** They sign nothing, or only parts of the body: each has a test of its own. */
const ownTests = [
  "addresses",
  "adyen",
  "api-key",
  "aws-sns",
  "basic",
  "bearer",
  "mailgun",
  "mtls",
  "postmark",
  "twilio",
  "yookassa",
];

test("every other provider is held to these properties", () => {
  const held = new Set([...schemes, ...productSchemes].map(({ settings }) => settings["provider"]));
  expect(providerNames.filter((name) => !held.has(name)).toSorted()).toEqual(ownTests);
});
