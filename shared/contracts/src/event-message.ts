import { z } from "zod";

/** Event types: words of letters, digits, `_` and `-`, joined by dots; the broker routes by them. */
export const eventType = z
  .string()
  .max(200)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/,
    "expected words of letters, digits, dashes or underscores, joined by dots",
  );

/** Which types a subscription wants: a type in which words may be `*` (exactly one word) or `#` (any number of words). */
export const eventPattern = z
  .string()
  .max(200)
  .regex(
    /^([A-Za-z0-9_-]+|\*|#)(\.([A-Za-z0-9_-]+|\*|#))*$/,
    'expected words joined by dots, each of letters, digits, dashes or underscores, or "*", or "#"',
  );

/**
 * The headers of an event message: CloudEvents 1.0 in binary mode, as we write them. The body is the data as JSON. Readers are tolerant: see
 * infra/docs/events.md.
 * Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md
 */
export const eventHeaders = z.strictObject({
  cloudEvents_specversion: z.literal("1.0"),
  cloudEvents_id: z.string().min(1),
  cloudEvents_type: eventType,
  /** Who publishes: a URI reference. */
  cloudEvents_source: z.string().min(1),
  cloudEvents_time: z.iso.datetime(),
  /** What it is about: `order-17`. */
  cloudEvents_subject: z.string().min(1).optional(),
  /** Version of the data's shape: an extension attribute. */
  cloudEvents_dataversion: z.number().int().positive(),
  /** A URI of the data's schema. */
  cloudEvents_dataschema: z.string().min(1).optional(),
  /** W3C Trace Context. */
  traceparent: z.string().optional(),
});

export type EventHeaders = z.input<typeof eventHeaders>;
