import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { WantedPort } from "./ports.ts";
import { Refusal } from "./refusal.ts";
import { keyVariables, sourceVariables } from "./secrets.ts";
import type { Settings } from "./settings.ts";

/** One service of the platform, as a process. */
export interface ServicePlan {
  readonly name: string;
  /** From the top of the clone. */
  readonly entry: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  readonly readyUrl: string;
  /** The later a service starts, the earlier it stops. */
  readonly order: number;
}

/** Known ones in their order of start, each with its port; others follow behind. */
const knownPorts: Readonly<Record<string, number>> = {
  ingress: 8080,
  dispatcher: 8081,
  notifications: 8082,
  payments: 8083,
  deliveries: 8084,
};
const firstFreePort = 8085;

/** The services of this clone: every folder of `services/` with a `src/main.ts`. */
export function findServices(repository: string): readonly string[] {
  const folder = join(repository, "services");
  return readdirSync(folder).filter((name) => existsSync(join(folder, name, "src", "main.ts")));
}

/** The port of each service: its own by default, moved by `WARREN_<NAME>_PORT`. Pure. */
export function servicePorts(
  names: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): readonly (WantedPort & { readonly name: string })[] {
  let next = firstFreePort;
  return names.toSorted().map((name) => {
    const variable = `WARREN_${name.toUpperCase().replaceAll("-", "_")}_PORT`;
    const fallback = knownPorts[name] ?? next++;
    const port = Number(env[variable] ?? fallback);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new Refusal(`${variable} is not valid: expected a port number, 1 to 65535`);
    }
    return { name, port, owner: name, variable };
  });
}

export interface Surroundings {
  readonly databaseUrl: string;
  readonly amqpUrl: string;
  readonly smtpUrl: string;
  readonly yookassaUrl: string;
  readonly secretsFolder: string;
}

const sandboxShop = { id: "sandbox-shop", secretKey: "sandbox-secret" } as const;

/** Processes to run, with their environment: what the user set wins over what we make up. Pure. */
export function planServices(
  ports: readonly (WantedPort & { readonly name: string })[],
  settings: Settings,
  around: Surroundings,
): readonly ServicePlan[] {
  const { env } = settings;
  const own = Object.fromEntries(
    Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
  const shop = settings.ownYookassa
    ? {}
    : {
        WARREN_YOOKASSA_SHOP_ID: sandboxShop.id,
        WARREN_YOOKASSA_SECRET_KEY: sandboxShop.secretKey,
        WARREN_YOOKASSA_API_URL: around.yookassaUrl,
      };
  const common: Readonly<Record<string, string>> = {
    WARREN_NOTIFY_EMAIL: "operator@example.com",
    // The demo plays provider and proxy on this machine.
    WARREN_TRUSTED_PROXIES: "127.0.0.1,::1",
    // Whoever tries it out has endpoints on this machine.
    WARREN_DELIVERY_ALLOW: "127.0.0.0/8,::1",
    ...sourceVariables(around.secretsFolder, env),
    ...keyVariables(around.secretsFolder, env),
    WARREN_API_PORT: String(settings.apiPort),
    ...shop,
    ...own,
    DATABASE_URL: around.databaseUrl,
    AMQP_URL: around.amqpUrl,
    SMTP_URL: around.smtpUrl,
    WARREN_SCHEMA: settings.schema,
    WARREN_SHUTDOWN_TIMEOUT_MS: String(settings.shutdownMs),
    HOST: "127.0.0.1",
  };
  return ports.map(({ name, port }) => ({
    name,
    port,
    entry: `services/${name}/src/main.ts`,
    env: { ...common, PORT: String(port) },
    readyUrl: `http://127.0.0.1:${port}/readyz`,
    // What takes work in stops first, what hands it out stops last.
    order: name === "ingress" || name === "console" ? 3 : name === "dispatcher" ? 1 : 2,
  }));
}

/** The stand-ins for what the user did not set up; undefined when there are none to run. Pure. */
export function planSandbox(settings: Settings): ServicePlan | undefined {
  const parts = [settings.smtpUrl === undefined ? "mail" : "", settings.ownYookassa ? "" : "yookassa"].filter(Boolean);
  if (parts.length === 0) return undefined;
  const port = parts.includes("mail") ? settings.mailboxPort : settings.yookassaPort;
  return {
    name: "sandbox",
    entry: "infra/sandbox/src/main.ts",
    port,
    env: {
      ...pick(settings.env, "PATH", "NODE_COMPILE_CACHE"),
      HOST: "127.0.0.1",
      WARREN_SANDBOX_PARTS: parts.join(","),
      WARREN_SANDBOX_SMTP_PORT: String(settings.smtpPort),
      WARREN_SANDBOX_MAILBOX_PORT: String(settings.mailboxPort),
      WARREN_SANDBOX_YOOKASSA_PORT: String(settings.yookassaPort),
      WARREN_SANDBOX_YOOKASSA_SHOP_ID: sandboxShop.id,
      WARREN_SANDBOX_YOOKASSA_SECRET_KEY: sandboxShop.secretKey,
      WARREN_SANDBOX_DATA_DIR: join(settings.stateFolder, "sandbox"),
    },
    readyUrl: `http://127.0.0.1:${port}/livez`,
    order: 0,
  };
}

function pick(env: Settings["env"], ...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
