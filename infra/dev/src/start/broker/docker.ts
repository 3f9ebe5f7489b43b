import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { findOnPath, waitFor } from "@warren/testing";
import type { OwnServer } from "../own-server.ts";
import { Refusal } from "../refusal.ts";
import { probeBroker } from "./probe.ts";

const run = promisify(execFile);

/** Whether an engine answers, and has the image or can get it. */
export async function dockerState(image: string): Promise<"ready" | "no-image" | "none"> {
  if (findOnPath("docker") === undefined) return "none";
  try {
    await run("docker", ["version", "--format", "{{.Server.Version}}"], { timeout: 5000 });
  } catch {
    return "none";
  }
  try {
    await run("docker", ["image", "inspect", image], { timeout: 10_000 });
    return "ready";
  } catch {
    // not there yet
  }
  try {
    await run("docker", ["pull", "--quiet", image], { timeout: 300_000 });
    return "ready";
  } catch {
    return "no-image";
  }
}

export interface DockerBrokerOptions {
  readonly image: string;
  readonly amqpPort: number;
  readonly managementPort: number;
  /** Names container and volume after the clone. */
  readonly stateFolder: string;
}

/** RabbitMQ in a container, its data in a volume. A small watcher stops the container should this process be killed. */
export async function startDockerBroker(
  options: DockerBrokerOptions,
): Promise<OwnServer & { readonly amqpUrl: string }> {
  const { image, amqpPort, managementPort } = options;
  const name = `warren-${createHash("sha256").update(options.stateFolder).digest("hex").slice(0, 10)}-rabbitmq`;
  const stop = (): Promise<unknown> => run("docker", ["stop", "--time", "20", name]).catch(() => undefined);
  const start = async (): Promise<void> => {
    await run("docker", ["rm", "--force", name]).catch(() => undefined);
    const publish = ["--publish", `127.0.0.1:${amqpPort}:5672`, "--publish", `127.0.0.1:${managementPort}:15672`];
    const credentials = ["--env", "RABBITMQ_DEFAULT_USER=warren", "--env", "RABBITMQ_DEFAULT_PASS=warren"];
    const data = ["--volume", `${name}:/var/lib/rabbitmq`, "--hostname", "warren"];
    await run("docker", ["run", "--detach", "--rm", "--name", name, ...data, ...publish, ...credentials, image]);
    await waitFor(async () => (await probeBroker(amqpUrl, 2000)).kind === "answers", {
      what: "RabbitMQ in its container",
      timeoutMs: 90_000,
    });
  };
  const amqpUrl = `amqp://warren:warren@127.0.0.1:${amqpPort}`;
  // The pipe closes when this process ends, however it ends.
  const watcher = spawn("sh", ["-c", 'read -r _; exec docker stop --time 20 "$1"', "sh", name], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watcher.unref();
  try {
    await start();
  } catch (error) {
    await stop();
    watcher.kill("SIGKILL");
    throw new Refusal(
      `RabbitMQ did not start in a container of ${image}: see docker logs ${name}, or set WARREN_BROKER=private`,
      error,
    );
  }
  return {
    amqpUrl,
    start,
    exited: async () => {
      await run("docker", ["wait", name]).catch(() => undefined);
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      watcher.kill("SIGKILL");
    },
  };
}
