import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
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
  const clone = `warren-${createHash("sha256").update(options.stateFolder).digest("hex").slice(0, 10)}`;
  const amqpUrl = `amqp://warren:warren@127.0.0.1:${amqpPort}`;
  let name = "";
  let watcher: ChildProcess | undefined;

  const stop = async (): Promise<void> => {
    await run("docker", ["stop", "--time", "20", name]).catch(() => undefined);
    watcher?.kill("SIGKILL");
  };
  const start = async (): Promise<void> => {
    watcher?.kill("SIGKILL");
    await removeAll(clone);
    // Each start has a name of its own, so that the watcher of a killed `npm start` never stops a later container.
    name = `${clone}-${randomBytes(4).toString("hex")}`;
    watcher = watchContainer(name);
    const publish = ["--publish", `127.0.0.1:${amqpPort}:5672`, "--publish", `127.0.0.1:${managementPort}:15672`];
    const credentials = ["--env", "RABBITMQ_DEFAULT_USER=warren", "--env", "RABBITMQ_DEFAULT_PASS=warren"];
    // The node's data folder is named after its host.
    const data = [
      "--volume",
      `${clone}-rabbitmq:/var/lib/rabbitmq`,
      "--hostname",
      "warren",
      "--label",
      `warren.clone=${clone}`,
    ];
    await run("docker", ["run", "--detach", "--rm", "--name", name, ...data, ...publish, ...credentials, image]);
    await waitFor(async () => (await probeBroker(amqpUrl, 2000)).kind === "answers", {
      what: "RabbitMQ in its container",
      timeoutMs: 90_000,
    });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw new Refusal(
      `RabbitMQ did not start in a container of ${image} (${reason(error)}): mend that, or set WARREN_BROKER=private`,
      error,
    );
  }
  return {
    amqpUrl,
    start,
    exited: async () => {
      await run("docker", ["wait", name]).catch(() => undefined);
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** Stops the container when this process ends, however it ends: the pipe between them closes. */
function watchContainer(name: string): ChildProcess {
  const watcher = spawn("sh", ["-c", 'read -r _; exec docker stop --time 20 "$1"', "sh", name], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watcher.unref();
  return watcher;
}

/** What an earlier run may have left: two nodes must not share a volume. */
async function removeAll(clone: string): Promise<void> {
  const { stdout } = await run("docker", ["ps", "--all", "--quiet", "--filter", `label=warren.clone=${clone}`]);
  const ids = stdout.split("\n").filter(Boolean);
  if (ids.length > 0) await run("docker", ["rm", "--force", ...ids]);
}

function reason(error: unknown): string {
  const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  return text.trim().split("\n").at(-1) ?? "";
}
