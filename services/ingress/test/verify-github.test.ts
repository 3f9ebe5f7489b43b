import examples from "@octokit/webhooks-examples" with { type: "json" };
import { sign, verify } from "@octokit/webhooks-methods";
import { describe, expect, test } from "vitest";
import { githubSecret, judge, sourceOf } from "./signed.ts";

const source = sourceOf({ provider: "github", secrets: [githubSecret] });
const delivery = { "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-GitHub-Event": "push" };

describe("a GitHub webhook", () => {
  test("is verified with the signature that GitHub documents for its example", () => {
    const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const verdict = judge(source, {
      headers: { ...delivery, "X-Hub-Signature-256": signature },
      body: "Hello, World!",
    });
    expect(verdict).toEqual({
      kind: "verified",
      dedupeKey: "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      eventId: "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      eventType: "push",
    });
  });

  test("of every kind that GitHub sends is judged as octokit judges it", async () => {
    const bodies = (examples as unknown as readonly { readonly examples: readonly unknown[] }[]).flatMap((event) =>
      event.examples.map((example) => JSON.stringify(example)),
    );
    expect(bodies.length).toBeGreaterThan(300);
    for (const body of bodies) {
      const signature = await sign(githubSecret, body);
      expect(await verify(githubSecret, body, signature)).toBe(true);
      expect(judge(source, { headers: { ...delivery, "x-hub-signature-256": signature }, body }).kind).toBe("verified");
      const forged = await sign("another secret", body);
      expect(await verify(githubSecret, body, forged)).toBe(false);
      expect(judge(source, { headers: { ...delivery, "x-hub-signature-256": forged }, body })).toEqual({
        kind: "rejected",
        cause: "signature_mismatch",
      });
    }
  });

  test("is the same event whenever it has the same delivery id, and by its bytes when it has none", async () => {
    const body = '{"zen":"Keep it logically awesome."}';
    const signature = await sign(githubSecret, body);
    const verdict = judge(source, { headers: { "X-Hub-Signature-256": signature }, body });
    expect(verdict).toMatchObject({ kind: "verified", dedupeKey: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
  });

  test.for([
    { when: "there is no signature", headers: {}, cause: "signature_missing" },
    {
      when: "there is only the SHA-1 signature",
      headers: { "X-Hub-Signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59" },
      cause: "signature_missing",
    },
    {
      when: "the signature names SHA-1",
      headers: { "X-Hub-Signature-256": `sha1=${"0".repeat(64)}` },
      cause: "signature_malformed",
    },
    { when: "the signature is short", headers: { "X-Hub-Signature-256": "sha256=00" }, cause: "signature_malformed" },
    { when: "the signature is empty", headers: { "X-Hub-Signature-256": "" }, cause: "signature_malformed" },
    {
      when: "the signature is another one",
      headers: { "X-Hub-Signature-256": `sha256=${"0".repeat(64)}` },
      cause: "signature_mismatch",
    },
    {
      when: "the signature is no hexadecimal",
      headers: { "X-Hub-Signature-256": `sha256=${"é".repeat(64)}` },
      cause: "signature_mismatch",
    },
  ])("is refused when $when", ({ headers, cause }) => {
    expect(judge(source, { headers, body: "Hello, World!" })).toEqual({ kind: "rejected", cause });
  });

  test("is refused when its signature header comes twice, even if both are right", async () => {
    const signature = await sign(githubSecret, "{}");
    const rawHeaders = ["X-Hub-Signature-256", signature, "x-hub-signature-256", signature];
    expect(judge(source, { rawHeaders, body: "{}" })).toEqual({ kind: "rejected", cause: "header_repeated" });
  });
});
