import { createHash, createHmac, sign } from "node:crypto";
import type { SigningKey } from "@warren/jobs";

/**
 * The headers of Standard Webhooks: `webhook-id`, `webhook-timestamp` in seconds, and a `webhook-signature` by every key, so that the
 * receiver may know the old secret or the new one.
 * Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signatureHeaders(
  message: { readonly id: string; readonly body: string; readonly at: Date },
  keys: readonly SigningKey[],
): Readonly<Record<"webhook-id" | "webhook-timestamp" | "webhook-signature", string>> {
  const timestamp = String(Math.floor(message.at.getTime() / 1_000));
  const content = Buffer.from(`${message.id}.${timestamp}.${message.body}`);
  return {
    "webhook-id": message.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": keys.map((key) => signatureOf(content, key)).join(" "),
  };
}

function signatureOf(content: Buffer, signing: SigningKey): string {
  switch (signing.kind) {
    case "v1":
      return `v1,${createHmac("sha256", signing.key).update(content).digest("base64")}`;
    case "v1a":
      return `v1a,${sign(null, content, signing.key).toString("base64")}`;
    default:
      return signing satisfies never;
  }
}

/**
 * The `webhook-id` of an event: its own id where that can stand in a header and in the signed content, whose parts dots separate; else a
 * hash of it. Pure.
 */
export function webhookIdOf(eventId: string): string {
  if (/^[A-Za-z0-9_-]{1,200}$/.test(eventId)) return eventId;
  return `msg_${createHash("sha256").update(eventId).digest("base64url")}`;
}

/** What is sent. Every try sends what the first one did. Pure. */
export function bodyOf(
  format: "standard" | "plain",
  event: { readonly eventType: string; readonly createdAt: string; readonly payload: unknown },
): string {
  const { eventType, createdAt, payload = null } = event;
  return JSON.stringify(format === "plain" ? payload : { type: eventType, timestamp: createdAt, data: payload });
}
