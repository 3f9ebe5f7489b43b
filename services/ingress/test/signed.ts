import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { Stripe } from "stripe";
import { loadSources } from "../src/sources/load.ts";
import type { Source } from "../src/sources/source.ts";
import type { Verdict, WebhookRequest } from "../src/verify/verdict.ts";

export const nowMs = Date.parse("2026-11-22T12:00:00Z");
export const nowSeconds = nowMs / 1000;

/** When the signers of `schemes` sign. It stands still, but for the fuzzer, whose requests a real process judges by its own clock. */
export const signing = { atMs: nowMs };

export function signingSeconds(): number {
  return Math.floor(signing.atMs / 1000);
}
export const githubSecret = "It's a Secret to Everybody";
export const stripeSecret = "whsec_test_4b6d1e";
export const standardSecret = `whsec_${Buffer.from("0123456789abcdef01234567").toString("base64")}`;

export interface RequestParts {
  readonly headers?: Readonly<Record<string, string>>;
  readonly rawHeaders?: readonly string[];
  readonly body?: string | Buffer;
  readonly clientAddress?: string | undefined;
  readonly url?: string;
  readonly method?: string;
  readonly peerAddress?: string;
}

export function request(parts: RequestParts): WebhookRequest {
  return {
    method: parts.method ?? "POST",
    url: parts.url ?? "/webhooks/test",
    rawHeaders: parts.rawHeaders ?? Object.entries(parts.headers ?? {}).flat(),
    body: Buffer.isBuffer(parts.body) ? parts.body : Buffer.from(parts.body ?? "{}"),
    clientAddress: "clientAddress" in parts ? parts.clientAddress : "192.0.2.1",
    peerAddress: parts.peerAddress ?? "192.0.2.1",
  };
}

/** A source from its settings, by the same way that configuration takes. */
export function sourceOf(settings: Readonly<Record<string, unknown>>): Source {
  const sources = JSON.stringify({ test: settings });
  const source = loadSources({ env: {}, sources, readFile: () => "" }).get("test");
  if (source === undefined) throw new Error("no source");
  return source;
}

export function judge(source: Source, parts: RequestParts, at: number = nowMs): Verdict {
  return source.verify(request(parts), source.secrets, at);
}

export function hmacHex(secret: string, content: string | Buffer): string {
  return createHmac("sha256", secret).update(content).digest("hex");
}

/** The signature that Stripe's own SDK makes. */
export function stripeHeader(payload: string, secret = stripeSecret, timestamp = nowSeconds): string {
  return Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp });
}

/** The headers that the reference library of Standard Webhooks makes. */
export function standardHeaders(
  id: string,
  body: string,
  timestamp = nowSeconds,
  secret = standardSecret,
): Record<string, string> {
  const signature = new Webhook(secret).sign(id, new Date(timestamp * 1000), body);
  return { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature };
}
