import { isSnsSubscribeUrl } from "@warren/contracts";
import { z } from "zod";
import { member, parseJson, textMember } from "./json.ts";
import { isUrlOf, judgePublicKeySignature } from "./public-key-signature.ts";
import { keyOf } from "./signature.ts";
import { judgeInstant, toleranceOf } from "./timestamp.ts";
import { rejected, type Verify } from "./verdict.ts";

export const snsOptions = z.strictObject({
  /** The topics that may send. Needed, because AWS signs the messages of everybody's topics with the same key. */
  topics: z
    .array(
      z.string().regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}$/, "expected the ARN of a topic"),
    )
    .min(1),
  /**
   * The topic's SignatureVersion; only this one is taken, so that nobody can go back to SHA-1. Default `2`, which a topic uses after
   * `aws sns set-topic-attributes --attribute-name SignatureVersion --attribute-value 2`.
   */
  signatureVersion: z.enum(["2", "1"]).default("2"),
  /** How old a message may be. Default: the hour that SNS goes on sending, and five minutes. */
  toleranceSeconds: z.number().positive().max(604_800).default(3_900),
});

const certificateHost = /^sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?$/;
const certificatePath = /^\/SimpleNotificationService-[A-Za-z0-9]+\.pem$/;

const notificationKeys = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const subscriptionKeys = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
const signedKeys = new Map([
  ["Notification", notificationKeys],
  ["SubscriptionConfirmation", subscriptionKeys],
  ["UnsubscribeConfirmation", subscriptionKeys],
]);

/**
 * AWS SNS: the signature stands in the body, RSA with SHA-256 (version 2) or SHA-1 (version 1) over its sorted fields, judged with
 * the certificates that are configured as secrets. The certificate's address in the request must be SNS's, and is never fetched.
 *
 * A SubscriptionConfirmation is an event like others, of that type: its `SubscribeURL`, which is signed and must be SNS's, is fetched by
 * the job `confirm-sns-subscription`, outside of the request. Raw message delivery is unsigned and therefore refused.
 * Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
 */
export function snsVerifier({ topics, signatureVersion, toleranceSeconds }: z.infer<typeof snsOptions>): Verify {
  const known = new Set(topics);
  const tolerance = toleranceOf(toleranceSeconds);
  const digest = signatureVersion === "2" ? "sha256" : "sha1";
  return ({ body }, secrets, nowMs) => {
    const parsed = parseJson(body);
    const signature = textMember(parsed, "Signature");
    if (signature === undefined) return rejected("signature_missing");
    const certificate = textMember(parsed, "SigningCertURL");
    const type = textMember(parsed, "Type") ?? "";
    const keys = signedKeys.get(type);
    if (textMember(parsed, "SignatureVersion") !== signatureVersion || keys === undefined) {
      return rejected("signature_malformed");
    }
    if (certificate === undefined || !isUrlOf(certificate, certificateHost, certificatePath)) {
      return rejected("signature_malformed");
    }
    const timestamp = textMember(parsed, "Timestamp");
    if (timestamp === undefined) return rejected("timestamp_missing");
    const untimely = judgeInstant(timestamp, tolerance, nowMs);
    if (untimely !== undefined) return untimely;

    const refusal = judgePublicKeySignature(digest, signedText(parsed, keys), signature, secrets, nowMs);
    if (refusal !== undefined) return refusal;
    if (!known.has(textMember(parsed, "TopicArn") ?? "")) return rejected("signature_mismatch");
    const id = textMember(parsed, "MessageId");
    const subscribe = textMember(parsed, "SubscribeURL");
    if (id === undefined) return rejected("body_malformed");
    if (keys === subscriptionKeys && !isSnsSubscribeUrl(subscribe ?? "")) {
      return rejected("body_malformed");
    }
    return { kind: "verified", dedupeKey: keyOf(id), eventId: id, eventType: type, parsed };
  };
}

function signedText(message: unknown, keys: readonly string[]): Buffer {
  let text = "";
  for (const key of keys) {
    const value = member(message, key);
    if (typeof value === "string") text += `${key}\n${value}\n`;
  }
  return Buffer.from(text, "utf8");
}
