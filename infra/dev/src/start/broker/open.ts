import { join } from "node:path";
import { accepts, findRabbit, LocalServerError, startLocalRabbit } from "@warren/testing";
import { canInstallPackages, installPackages } from "../../debian-packages.ts";
import type { OwnServer } from "../own-server.ts";
import { stablePort } from "../ports.ts";
import { Refusal } from "../refusal.ts";
import type { Settings } from "../settings.ts";
import type { StateFolder } from "../state-folder.ts";
import { chooseBroker, localhostUrl } from "./choose.ts";
import { dockerState, startDockerBroker } from "./docker.ts";
import { probeBroker, requireBroker } from "./probe.ts";

export interface OpenBroker {
  readonly amqpUrl: string;
  /** For the table: what it is and whose. */
  readonly description: string;
  /** Its page for people, where it is ours. */
  readonly managementUrl: string | undefined;
  /** How to log in there. */
  readonly credentials: string;
  /** Present when this process started it. */
  readonly server: OwnServer | undefined;
}

/** Finds or starts the broker. */
export async function openBroker(
  settings: Settings,
  folder: StateFolder,
  say: (line: string) => void,
): Promise<OpenBroker> {
  const choice = chooseBroker({
    amqpUrl: settings.amqpUrl,
    wanted: settings.broker,
    localhost: settings.amqpUrl === undefined && settings.broker !== "private" ? await askLocalhost() : "none",
    docker:
      settings.amqpUrl === undefined && ["auto", "docker"].includes(settings.broker)
        ? await dockerState(settings.rabbitImage)
        : "none",
    installed: findRabbit() !== undefined,
    canInstall: await canInstallPackages(),
  });
  switch (choice.kind) {
    case "url": {
      const product = await requireBroker(choice.url, "AMQP_URL");
      return {
        amqpUrl: choice.url,
        description: `${product} of AMQP_URL`,
        managementUrl: undefined,
        credentials: "",
        server: undefined,
      };
    }
    case "localhost": {
      const product = await requireBroker(localhostUrl, "AMQP_URL");
      return {
        amqpUrl: localhostUrl,
        description: `${product} found on localhost`,
        managementUrl: undefined,
        credentials: "",
        server: undefined,
      };
    }
    case "docker": {
      const { amqpPort, managementPort } = await ownPorts(folder);
      const server = await startDockerBroker({
        image: settings.rabbitImage,
        amqpPort,
        managementPort,
        stateFolder: folder.path,
      });
      const managementUrl = `http://127.0.0.1:${managementPort}`;
      return {
        amqpUrl: server.amqpUrl,
        description: `${settings.rabbitImage} in Docker`,
        managementUrl,
        credentials: "user and password: warren",
        server,
      };
    }
    case "private":
      if (choice.install) await install(say);
      return openPrivate(folder);
    default:
      return choice satisfies never;
  }
}

async function askLocalhost(): Promise<"answers" | "refuses" | "none"> {
  if (!(await accepts(5672))) return "none";
  const { kind } = await probeBroker(localhostUrl);
  return kind === "answers" || kind === "refuses" ? kind : "none";
}

async function install(say: (line: string) => void): Promise<void> {
  await installPackages(["rabbitmq-server"], {
    say: (sentence) => say(`RabbitMQ is not there: ${sentence} (as root; its system service is not started) …`),
    otherwise: "Warren needs RabbitMQ and could not install it: run apt-get install rabbitmq-server and start again",
  });
}

async function openPrivate(folder: StateFolder): Promise<OpenBroker> {
  const { amqpPort, managementPort } = await ownPorts(folder);
  try {
    const dataDir = join(folder.path, "rabbitmq");
    const server = await startLocalRabbit({ dataDir, amqpPort, managementPort });
    return {
      amqpUrl: server.amqpUrl,
      description: `RabbitMQ ${server.version}, private node`,
      managementUrl: `http://127.0.0.1:${managementPort}`,
      credentials: "user and password: guest",
      server,
    };
  } catch (error) {
    if (error instanceof LocalServerError)
      throw new Refusal(`the private RabbitMQ cannot be started: ${error.message}`, error);
    throw error;
  }
}

async function ownPorts(folder: StateFolder): Promise<{ readonly amqpPort: number; readonly managementPort: number }> {
  const file = folder.file("ports.json");
  return { amqpPort: await stablePort(file, "amqp"), managementPort: await stablePort(file, "rabbitmq-management") };
}
