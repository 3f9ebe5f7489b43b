import type { NewJob } from "@warren/ledger";
import type { WebhookEvent } from "../intake/event.ts";

/** What a job carries of the request that made it. */
export interface Origin {
  readonly correlationId: string;
  /** W3C `traceparent` of the request, if it had one. */
  readonly trace: string | undefined;
}

/**
 * Says which jobs come of an event: none, one or several. It must answer for every event that its source may send, because the
 * event is stored and acknowledged with the jobs that it names; a throw is answered with 503, so that the sender keeps the event.
 */
export type Route = (event: WebhookEvent, origin: Origin) => readonly NewJob[];
