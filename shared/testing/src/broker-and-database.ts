/** A server that a test may treat as badly as it likes. */
export interface PrivateServer extends AsyncDisposable {
  readonly version: string;
  /** `kill -9` of the whole server; settles when all its processes are gone. What was committed or confirmed stays. */
  kill(): Promise<void>;
  /** Orderly stop, which ends its connections; the data stays. Idempotent. */
  stop(): Promise<void>;
  /** Starts it again on the same data and ports, after `kill` or `stop`. */
  start(): Promise<void>;
  /** `stop` and `start`. */
  restart(): Promise<void>;
  /** Freezes its main process, as a machine that hangs: connections stay open, and new ones are not answered. Open sessions of Postgres go on. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** A RabbitMQ server of a test's own. */
export interface Broker extends PrivateServer {
  /** With user and password, without a vhost. The same after every restart. */
  readonly amqpUrl: string;
  readonly managementUrl: string;
  readonly amqpPort: number;
  /** Raises or clears the memory alarm: publishers are told `connection.blocked`, or `unblocked`. */
  memoryAlarm(on: boolean): Promise<void>;
}

/** A PostgreSQL server of a test's own. */
export interface Database extends PrivateServer {
  /** URL of the database `postgres`, as a superuser. The same after every restart. */
  readonly url: string;
  readonly port: number;
}

/** How the memory limit is set to raise the alarm, and to clear it again. */
export const memoryLimits = { alarm: "0.0000001", normal: "0.4" } as const;
