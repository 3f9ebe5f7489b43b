import { AmqpError, type AmqpSession, type ConnectionState, openSession } from "@warren/amqp";
import { type Ledger, openLedger } from "@warren/ledger";
import { createLogger, type Logger } from "@warren/observability";
import { amqpConfig, type Environment, ledgerConfig, readConfig } from "@warren/service";

const connectTimeoutMs = 10_000;

/** A command tells its outcome itself; what goes on below is not logged. */
export function commandLog(): Logger {
  return createLogger({ service: "warren", level: "silent" });
}

/**
 * A session that is connected. A session never gives up, a command does: `AMQP_NOT_CONNECTED` with the broker's reason after every URL
 * was refused once, or after 10 s.
 */
export async function connectSession(environment: Environment): Promise<AmqpSession> {
  const [{ AMQP_URL: urls }] = readConfig([amqpConfig], environment);
  const session = await openSession({ urls, name: "warren-cli", log: commandLog() });
  const refusals = new Set<ConnectionState>();
  const refused = new AbortController();
  const off = session.onChange(({ consume }) => {
    if (consume.kind === "connecting" && consume.error !== undefined) refusals.add(consume);
    if (refusals.size === urls.length) refused.abort();
  });
  try {
    await session.connected({ signal: AbortSignal.any([refused.signal, AbortSignal.timeout(connectTimeoutMs)]) });
    return session;
  } catch (cause) {
    const { consume } = session.state();
    const reason = consume.kind === "connecting" && consume.error !== undefined ? consume.error : "no answer";
    await session[Symbol.asyncDispose]();
    const hosts = urls.map((url) => new URL(url).host).join(", ");
    throw new AmqpError("AMQP_NOT_CONNECTED", `no connection to the broker at ${hosts}: ${reason}`, { cause });
  } finally {
    off();
  }
}

export async function connectLedger(environment: Environment): Promise<Ledger> {
  const [{ DATABASE_URL: connectionString, WARREN_SCHEMA: schema }] = readConfig([ledgerConfig], environment);
  return await openLedger({ connectionString, schema, log: commandLog(), poolSize: 1, applicationName: "warren-cli" });
}
