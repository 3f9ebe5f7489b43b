import { type Broker, memoryLimits } from "../broker-and-database.ts";
import { freePort, LocalServerError } from "../local/ports.ts";
import { Management } from "../management.ts";
import { waitFor } from "../wait-for.ts";
import { containerLife } from "./engine.ts";

export interface DockerRabbitOptions {
  /** Default: WARREN_RABBITMQ_IMAGE, else `rabbitmq:4-management`. The management plugin must be enabled in it. */
  readonly image?: string;
}

export function rabbitImage(): string {
  return process.env["WARREN_RABBITMQ_IMAGE"] ?? "rabbitmq:4-management";
}

/** Starts RabbitMQ in a container by testcontainers. Its published ports are fixed, so that its URLs outlive a restart. */
export async function startDockerRabbit(options: DockerRabbitOptions = {}): Promise<Broker> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const [amqpPort, managementPort] = [await freePort(), await freePort()];
  const container = await new GenericContainer(options.image ?? rabbitImage())
    .withExposedPorts({ container: 5672, host: amqpPort }, { container: 15672, host: managementPort })
    .withEnvironment({ RABBITMQ_DEFAULT_USER: "warren", RABBITMQ_DEFAULT_PASS: "warren" })
    .withWaitStrategy(Wait.forLogMessage(/Server startup complete|completed with \d+ plugins/))
    .start();
  const host = container.getHost();
  const managementUrl = `http://warren:warren@${host}:${managementPort}`;
  const management = new Management(managementUrl);
  const answers = (): Promise<void> => ready(management);
  await answers();
  return {
    ...(await containerLife(container, answers)),
    amqpUrl: `amqp://warren:warren@${host}:${amqpPort}`,
    managementUrl,
    amqpPort,
    version: await management.version(),
    memoryAlarm: async (on) => {
      const limit = on ? memoryLimits.alarm : memoryLimits.normal;
      const { exitCode, output } = await container.exec(["rabbitmqctl", "set_vm_memory_high_watermark", limit]);
      if (exitCode !== 0) throw new LocalServerError("LOCAL_SERVER_FAILED", `rabbitmqctl failed: ${output}`);
    },
  };
}

/** A published port accepts before the server behind it does; only the broker itself knows that its listener is up. */
async function ready(management: Management): Promise<void> {
  const listening = (): Promise<boolean> =>
    management.request("GET", "/health/checks/port-listener/5672").then((answer) => answer !== undefined);
  await waitFor(listening, { what: "RabbitMQ in its container to listen", timeoutMs: 60_000, intervalMs: 100 });
}
