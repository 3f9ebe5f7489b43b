import { execFile } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Broker, memoryLimits } from "../broker-and-database.ts";
import { Management } from "../management.ts";
import { accepts, freePort, LocalServerError, requireFreePort } from "./ports.ts";
import { findOnPath, spawnTied, type TiedProcess } from "./tied-process.ts";

export interface LocalRabbitOptions {
  /** Folder of the node's data, log and cookie; made when missing. The same folder again brings the same queues and messages back. */
  readonly dataDir: string;
  /** Default of each port: a free one. All listen on 127.0.0.1 only. */
  readonly amqpPort?: number;
  readonly managementPort?: number;
  /** Default 60 s. */
  readonly startTimeoutMs?: number;
}

/** A private RabbitMQ node on this machine, with the management plugin; user and password are `guest`. */
export interface LocalRabbit extends Broker {
  readonly managementPort: number;
  readonly logFile: string;
  /** Process id of the server that runs now, or ran last. */
  pid(): number;
  running(): boolean;
  /** Settles when the node that runs now has ended, asked or not. */
  exited(): Promise<void>;
}

/** The folder with RabbitMQ's own scripts, or `undefined` when it is not installed. */
export function findRabbit(): string | undefined {
  // Debian's script on the PATH is a wrapper that changes the user; the real one is here.
  const debian = "/usr/lib/rabbitmq/bin/rabbitmq-server";
  const script = existsSync(debian) ? debian : findOnPath("rabbitmq-server");
  return script === undefined ? undefined : dirname(realpathSync(script));
}

/**
 * Starts a private node: own name, data folder, cookie, ports and port mapper (epmd), nothing shared with another RabbitMQ on the
 * machine. It ends with this process, however that ends. Throws LOCAL_BROKER_MISSING, LOCAL_PORT_TAKEN or LOCAL_SERVER_FAILED.
 */
export async function startLocalRabbit(options: LocalRabbitOptions): Promise<LocalRabbit> {
  const scripts = findRabbit();
  if (scripts === undefined) {
    throw new LocalServerError("LOCAL_BROKER_MISSING", "rabbitmq-server is not installed on this machine");
  }
  const ports: Ports = {
    amqp: options.amqpPort ?? (await freePort()),
    management: options.managementPort ?? (await freePort()),
    distribution: await freePort(),
    epmd: await freePort(),
  };
  const node: Node = {
    scripts,
    dataDir: options.dataDir,
    logFile: join(options.dataDir, "rabbitmq.log"),
    ports,
    managementUrl: `http://guest:guest@127.0.0.1:${ports.management}`,
    env: await prepareFolder(options.dataDir, ports),
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
  };
  let processes = await startNode(node);
  const stop = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    await endProcess(processes.broker, signal);
    await endProcess(processes.epmd, "SIGKILL");
  };
  const start = async (): Promise<void> => {
    if (!processes.broker.running()) processes = await startNode(node);
  };
  return {
    amqpUrl: `amqp://guest:guest@127.0.0.1:${ports.amqp}`,
    managementUrl: node.managementUrl,
    amqpPort: ports.amqp,
    managementPort: ports.management,
    version: await new Management(node.managementUrl).version(),
    logFile: node.logFile,
    pid: () => processes.broker.pid,
    running: () => processes.broker.running(),
    exited: async () => {
      await processes.broker.exited;
    },
    kill: () => stop("SIGKILL"),
    stop: () => stop("SIGTERM"),
    start,
    restart: async () => {
      await stop("SIGTERM");
      await start();
    },
    pause: async () => processes.broker.signal("SIGSTOP"),
    resume: async () => processes.broker.signal("SIGCONT"),
    memoryAlarm: (on) => setMemoryAlarm(node, on),
    [Symbol.asyncDispose]: () => stop("SIGTERM"),
  };
}

interface Ports {
  readonly amqp: number;
  readonly management: number;
  readonly distribution: number;
  readonly epmd: number;
}

interface Node {
  readonly scripts: string;
  readonly dataDir: string;
  readonly logFile: string;
  readonly ports: Ports;
  readonly managementUrl: string;
  readonly env: NodeJS.ProcessEnv;
  readonly startTimeoutMs: number;
}

interface Processes {
  readonly broker: TiedProcess;
  readonly epmd: TiedProcess;
}

/** Writes the node's configuration; answers the environment for it and for its command line tools. */
async function prepareFolder(dataDir: string, ports: Ports): Promise<NodeJS.ProcessEnv> {
  await mkdir(dataDir, { recursive: true });
  const file = (name: string): string => join(dataDir, name);
  const config = [
    `listeners.tcp.1 = 127.0.0.1:${ports.amqp}`,
    "management.tcp.ip = 127.0.0.1",
    `management.tcp.port = ${ports.management}`,
    "log.console = true",
    "log.console.level = info",
    "log.file = false",
    "",
  ];
  await Promise.all([
    writeFile(file("rabbitmq.conf"), config.join("\n")),
    writeFile(file("enabled_plugins"), "[rabbitmq_management].\n"),
    writeFile(file("rabbitmq-env.conf"), ""),
  ]);
  // An interrupted first start can leave a cookie that Erlang then refuses.
  await chmod(file(".erlang.cookie"), 0o400).catch(() => undefined);
  const inherited = Object.entries(process.env).filter(([name]) => !/^(RABBITMQ_|ERL_|NOTIFY_SOCKET)/.test(name));
  return {
    ...Object.fromEntries(inherited),
    HOME: dataDir,
    RABBITMQ_NODENAME: "warren@localhost",
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(ports.amqp),
    RABBITMQ_DIST_PORT: String(ports.distribution),
    RABBITMQ_MNESIA_BASE: file("mnesia"),
    RABBITMQ_LOG_BASE: file("log"),
    RABBITMQ_CONFIG_FILE: file("rabbitmq.conf"),
    RABBITMQ_CONF_ENV_FILE: file("rabbitmq-env.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: file("enabled_plugins"),
    ERL_EPMD_PORT: String(ports.epmd),
    ERL_EPMD_ADDRESS: "127.0.0.1",
  };
}

async function startNode(node: Node): Promise<Processes> {
  await requireFreePort(node.ports.amqp, "RabbitMQ");
  await requireFreePort(node.ports.management, "RabbitMQ's management plugin");
  const common = { env: node.env, cwd: node.dataDir, output: { file: node.logFile } };
  // Erlang would start epmd as a daemon that stays behind for ever.
  const epmd = await spawnTied({ ...common, command: findOnPath("epmd") ?? "epmd", args: [] });
  const broker = await spawnTied({
    ...common,
    command: join(node.scripts, "rabbitmq-server"),
    args: [],
    env: {
      ...node.env,
      // The script then replaces itself by the Erlang VM instead of waiting for it: the process id is the broker's own.
      detached: "true",
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
    },
  });
  try {
    await ready(node, broker);
  } catch (error) {
    await endProcess(broker, "SIGKILL");
    await endProcess(epmd, "SIGKILL");
    throw error;
  }
  return { broker, epmd };
}

async function ready(node: Node, broker: TiedProcess): Promise<void> {
  const management = new Management(node.managementUrl);
  const deadline = performance.now() + node.startTimeoutMs;
  while (performance.now() < deadline) {
    if (!broker.running()) throw await startFailure(node, "RabbitMQ ended while starting");
    if (await accepts(node.ports.amqp)) {
      const answers = await management.version().catch(() => undefined);
      if (answers !== undefined) return;
    }
    await sleep(50);
  }
  throw await startFailure(node, `RabbitMQ was not ready within ${node.startTimeoutMs} ms`);
}

async function startFailure(node: Node, what: string): Promise<LocalServerError> {
  const log = await readFile(node.logFile, "utf8").catch(() => "");
  const tail = log.trimEnd().split("\n").slice(-15).join("\n");
  return new LocalServerError("LOCAL_SERVER_FAILED", `${what}; the end of ${node.logFile}:\n${tail}`);
}

async function endProcess(process: TiedProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (!process.running()) return;
  // A frozen process would not see SIGTERM.
  process.signal("SIGCONT");
  process.signal(signal);
  const ended = await Promise.race([process.exited.then(() => true), sleep(20_000, false, { ref: false })]);
  if (!ended) {
    process.signal("SIGKILL");
    await process.exited;
  }
}

async function setMemoryAlarm(node: Node, on: boolean): Promise<void> {
  const limit = on ? memoryLimits.alarm : memoryLimits.normal;
  await promisify(execFile)(join(node.scripts, "rabbitmqctl"), ["set_vm_memory_high_watermark", limit], {
    env: node.env,
    cwd: node.dataDir,
    timeout: 30_000,
  });
}
