import { createHmac } from "node:crypto";

/** `X-Hub-Signature-256`. Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries */
export function githubSignature(secret: string, body: Buffer): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** `Stripe-Signature`. Source: https://docs.stripe.com/webhooks#verify-manually */
export function stripeSignature(secret: string, body: Buffer, unixSeconds: number): string {
  const mac = createHmac("sha256", secret).update(`${unixSeconds}.`).update(body).digest("hex");
  return `t=${unixSeconds},v1=${mac}`;
}
