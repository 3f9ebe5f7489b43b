import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { Refusal } from "./refusal.ts";

/** Top of the clone. */
export const repository = fileURLToPath(new URL("../../../../", import.meta.url));

export const usage = `npm start [-- --verbose]

Starts the whole platform on this machine: broker, database, mailbox and every service. Ctrl-C stops it; the data stays in .warren/.

  --verbose   shows the services' logs here too (they are always in .warren/logs/)
  --help      this text

Environment: AMQP_URL, DATABASE_URL, SMTP_URL, WARREN_YOOKASSA_SHOP_ID and WARREN_YOOKASSA_SECRET_KEY use your own instead of local ones;
WARREN_BROKER=localhost|docker|private chooses the broker; WARREN_<NAME>_PORT moves a port (INGRESS 8080, DISPATCHER 8081,
NOTIFICATIONS 8082, PAYMENTS 8083, DELIVERIES 8084, API 8090, MAILBOX 8025, SMTP 1025, YOOKASSA 8026); WARREN_STATE_DIR moves .warren/.`;

const port = (name: string, fallback: number) =>
  z.coerce.number(`${name} must be a port number`).int().min(1).max(65_535).default(fallback);

const environment = z.object({
  AMQP_URL: z.string().min(1).optional(),
  DATABASE_URL: z.string().min(1).optional(),
  SMTP_URL: z.string().min(1).optional(),
  WARREN_BROKER: z.enum(["auto", "localhost", "docker", "private"]).default("auto"),
  WARREN_SCHEMA: z.string().min(1).default("warren"),
  WARREN_STATE_DIR: z.string().min(1).default(".warren"),
  WARREN_RABBITMQ_IMAGE: z.string().min(1).default("rabbitmq:4-management"),
  WARREN_SHUTDOWN_TIMEOUT_MS: z.coerce.number().int().min(0).max(3_600_000).default(20_000),
  WARREN_API_PORT: port("WARREN_API_PORT", 8090),
  WARREN_MAILBOX_PORT: port("WARREN_MAILBOX_PORT", 8025),
  WARREN_SMTP_PORT: port("WARREN_SMTP_PORT", 1025),
  WARREN_YOOKASSA_PORT: port("WARREN_YOOKASSA_PORT", 8026),
});

export type StartEnvironment = Readonly<Record<string, string | undefined>>;

export interface Settings {
  readonly verbose: boolean;
  readonly stateFolder: string;
  readonly amqpUrl: string | undefined;
  readonly databaseUrl: string | undefined;
  readonly smtpUrl: string | undefined;
  /** The user gave the keys of a real shop. */
  readonly ownYookassa: boolean;
  readonly broker: "auto" | "localhost" | "docker" | "private";
  readonly rabbitImage: string;
  readonly schema: string;
  readonly shutdownMs: number;
  /** Of the management API. */
  readonly apiPort: number;
  readonly mailboxPort: number;
  readonly smtpPort: number;
  readonly yookassaPort: number;
  /** What the user set, for the services. */
  readonly env: StartEnvironment;
}

/** Reads arguments and environment. `undefined` when only help was asked for. Pure. */
export function readSettings(args: readonly string[], env: StartEnvironment): Settings | undefined {
  if (args.includes("--help") || args.includes("-h")) return undefined;
  const unknown = args.find((arg) => arg !== "--verbose");
  if (unknown !== undefined) throw new Refusal(`npm start does not know ${unknown}: it takes --verbose and --help`);
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Refusal(`${String(issue?.path[0])} is not valid: ${issue?.message ?? "mend it"}`);
  }
  const { data } = parsed;
  return {
    verbose: args.includes("--verbose"),
    stateFolder: resolve(repository, data.WARREN_STATE_DIR),
    amqpUrl: data.AMQP_URL,
    databaseUrl: data.DATABASE_URL,
    smtpUrl: data.SMTP_URL,
    ownYookassa: ["SHOP_ID", "SECRET_KEY", "API_URL"].some((name) => {
      return given[`WARREN_YOOKASSA_${name}`] !== undefined || given[`WARREN_YOOKASSA_${name}_FILE`] !== undefined;
    }),
    broker: data.WARREN_BROKER,
    rabbitImage: data.WARREN_RABBITMQ_IMAGE,
    schema: data.WARREN_SCHEMA,
    shutdownMs: data.WARREN_SHUTDOWN_TIMEOUT_MS,
    apiPort: data.WARREN_API_PORT,
    mailboxPort: data.WARREN_MAILBOX_PORT,
    smtpPort: data.WARREN_SMTP_PORT,
    yookassaPort: data.WARREN_YOOKASSA_PORT,
    env: given,
  };
}
