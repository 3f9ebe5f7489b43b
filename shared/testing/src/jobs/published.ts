import type { NewOutboxEvent } from "@warren/ledger";

/** An event that was published in a test. */
export interface PublishedEvent {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly data: unknown;
  readonly source: string;
  readonly subject: string | undefined;
  readonly correlationId: string | undefined;
  readonly orderingKey: string | undefined;
}

export function publishedOf({
  eventId,
  type,
  headers,
  body,
  correlationId,
  orderingKey,
}: NewOutboxEvent): PublishedEvent {
  const subject = headers["cloudEvents_subject"];
  return {
    id: eventId,
    type,
    version: Number(headers["cloudEvents_dataversion"]),
    data: JSON.parse(body) as unknown,
    source: String(headers["cloudEvents_source"]),
    subject: typeof subject === "string" ? subject : undefined,
    correlationId,
    orderingKey,
  };
}
