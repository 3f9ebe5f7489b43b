import type { RejectionCause } from "@warren/contracts";

/** One HTTP request, ready to be sent. */
export interface Outgoing {
  /** Last part of `/webhooks/:source`. */
  readonly source: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A genuine event, and how often its sender sends it at once. */
export interface GenuineEvent {
  readonly correlationId: string;
  readonly request: Outgoing;
  readonly copies: number;
  /** What the platform must make of it in the end. */
  readonly outcome: "mail" | "payment and mail" | "refused by the provider";
}

/** A request that must be refused. */
export interface Forgery {
  readonly correlationId: string;
  readonly request: Outgoing;
  readonly cause: RejectionCause;
}

/** Where `npm start` trusts the demo to be a proxy: YooKassa's senders are known by their address. */
export const yookassaSender = "185.71.76.5";
