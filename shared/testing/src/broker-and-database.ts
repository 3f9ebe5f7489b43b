/** A RabbitMQ server that a test may treat as badly as it likes. */
export interface Broker extends AsyncDisposable {
  /** With user and password, without a vhost. The same after every restart. */
  readonly amqpUrl: string;
  readonly managementUrl: string;
  readonly amqpPort: number;
  readonly version: string;
  /** `kill -9`; settles when the process is gone. The data stays. */
  kill(): Promise<void>;
  /** Orderly stop; the data stays. Idempotent. */
  stop(): Promise<void>;
  /** Starts it again on the same data and ports, after `kill` or `stop`. */
  start(): Promise<void>;
  /** `stop` and `start`. */
  restart(): Promise<void>;
  /** Freezes the process, as a machine that hangs: connections stay open and nothing answers. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Raises or clears the memory alarm: publishers are told `connection.blocked`, or `unblocked`. */
  memoryAlarm(on: boolean): Promise<void>;
}

/** A PostgreSQL server that a test may treat as badly as it likes. */
export interface Database extends AsyncDisposable {
  /** URL of the database `postgres`, as a superuser. The same after every restart. */
  readonly url: string;
  readonly port: number;
  readonly version: string;
  /** `kill -9` of the whole server; settles when all its processes are gone. What was committed is kept. */
  kill(): Promise<void>;
  /** Fast shutdown: sessions are ended. Idempotent. */
  stop(): Promise<void>;
  /** Starts it again on the same data and port, after `kill` or `stop`. */
  start(): Promise<void>;
  /** `stop` and `start`. */
  restart(): Promise<void>;
  /** Freezes the postmaster: new connections hang. Sessions that are open go on. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** How the memory limit is set to raise the alarm, and to clear it again. */
export const memoryLimits = { alarm: "0.0000001", normal: "0.4" } as const;
