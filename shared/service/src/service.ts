import type { AmqpSession } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Health, Logger, Metrics, Tracing } from "@warren/observability";
import type { z } from "zod";
import type { AmqpConfig, LedgerConfig, ProcessConfig } from "./base-config.ts";
import type { BrokerNeed } from "./checks.ts";

/** What the parts of a running service can do, in the order of a shutdown. */
export interface RunningService extends AsyncDisposable {
  /** Take no more: cancel consumers, stop listening. */
  quiet?(): Promise<unknown> | void;
  /** Finish what is running. The signal fires when the time is over: hand back the rest and return. */
  drain?(deadline: AbortSignal): Promise<unknown>;
}

export interface ServiceNeeds {
  readonly ledger: boolean;
  /**
   * `required`: without the broker the service is not ready. `optional`: it works on (enqueuing does not need the broker) and is
   * `degraded`, still ready. `false`: it opens no session.
   */
  readonly amqp: BrokerNeed | false;
}

interface BaseContext<C extends z.ZodObject> {
  readonly name: string;
  readonly version: string;
  /** The service's own settings. */
  readonly config: z.output<C>;
  readonly process: ProcessConfig;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** Add checks of the service's own: `health.add("smtp", check, "detail")`. */
  readonly health: Health;
  /** Fires when the process begins to stop, also while `start` still runs. */
  readonly stopping: AbortSignal;
  /** Reports that something the service cannot live without has ended: logged as fatal, shut down in order, exit 1. */
  readonly fail: (error: unknown) => void;
  /**
   * Asks to be started again: the service stops in order, as at a signal, and exits with 75. For a worker's `recycle.onRecycle`. The reason is
   * logged. Nothing when it stops already.
   */
  readonly recycle: (reason: unknown) => void;
}

type LedgerContext = { readonly ledger: Ledger; readonly ledgerConfig: LedgerConfig };
type AmqpContext = { readonly session: AmqpSession; readonly amqpConfig: AmqpConfig };

/** What `start` is given: ledger and session only if the service said that it needs them. */
export type ServiceContext<C extends z.ZodObject, N extends ServiceNeeds> = BaseContext<C> &
  (N["ledger"] extends true ? LedgerContext : unknown) &
  (N["amqp"] extends false ? unknown : AmqpContext);

export interface ServiceDefinition<C extends z.ZodObject, N extends ServiceNeeds> {
  /** `dispatcher`: the name in logs, metrics, traces and RabbitMQ's list of connections. */
  readonly name: string;
  readonly version: string;
  /** Where it listens when PORT is not set. */
  readonly defaultPort: number;
  /** The service's own settings: environment names as keys, `describe()` saying what is expected. */
  readonly config: C;
  readonly needs: N;
  /**
   * `own`: runService serves the health routes on PORT from the first moment, and `start` is called when the database answers with
   * the right schema. `service`: the service listens on PORT itself, with `registerHealthRoutes(fastify, health, metrics)`; `start` is
   * called at once, and the database is waited for after it, with readyz 503 meanwhile.
   */
  readonly server?: "own" | "service";
  /** Starts the work. A throw ends the process with exit 1; the broker may still be away. */
  readonly start: (context: ServiceContext<C, N>) => Promise<RunningService>;
}
