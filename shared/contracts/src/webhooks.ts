import { z } from "zod";

/**
 * Why a request was refused. Kept with the stored request, counted in `warren_webhook_requests_total` and repeated in the problem document.
 * Never more precise towards the sender than a forger could work out alone.
 */
export const rejectionCause = z.enum([
  /** No source of that name is configured. */
  "source_unknown",
  /** The source was disabled over the management API. */
  "source_disabled",
  /** More bytes arrived than the source takes. */
  "body_too_large",
  /** The connection ended before the whole body had arrived. */
  "body_incomplete",
  /** The authentic body is not what the provider documents. */
  "body_malformed",
  /** A `Content-Encoding` other than `identity`: Warren verifies and keeps the bytes as they were signed. */
  "encoding_unsupported",
  "content_type_unsupported",
  /** A method that the source's provider never uses. */
  "method_not_allowed",
  "signature_missing",
  /** A header that must stand alone came twice. */
  "header_repeated",
  "signature_malformed",
  "signature_mismatch",
  "timestamp_missing",
  "timestamp_malformed",
  "timestamp_too_old",
  "timestamp_in_future",
  /** The sender's address could not be told from the connection and the trusted proxies. */
  "address_unknown",
  "address_not_allowed",
]);

export type RejectionCause = z.infer<typeof rejectionCause>;

/** What became of a received request. `answered`: it was a challenge of the provider, no event. */
export const webhookStatus = z.enum(["accepted", "duplicate", "rejected", "answered"]);

export type WebhookStatus = z.infer<typeof webhookStatus>;

/** The body of 2xx answers of `POST /webhooks/:source`, unless the provider wants to read another. */
export const webhookReceipt = z.object({
  /** `duplicate`: the same event was accepted before; nothing was done again. */
  status: z.enum(["accepted", "duplicate"]),
  /** Warren's id of this stored request. */
  requestId: z.uuid(),
});

export type WebhookReceipt = z.infer<typeof webhookReceipt>;

/** Name of a source as in `POST /webhooks/:source`. */
export const sourceName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'expected lower-case letters, digits and dashes, such as "github" or "shop-eu"',
  );
