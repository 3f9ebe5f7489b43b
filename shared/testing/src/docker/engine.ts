import { existsSync } from "node:fs";
import type { StartedTestContainer } from "testcontainers";

/** What this package uses of a dockerode container. */
export interface EngineContainer {
  kill(): Promise<unknown>;
  stop(): Promise<unknown>;
  start(): Promise<unknown>;
  pause(): Promise<unknown>;
  unpause(): Promise<unknown>;
  inspect(): Promise<{ readonly State: { readonly Running: boolean } }>;
}

/** Whether a Docker engine answers on this machine (or where DOCKER_HOST says). */
export async function dockerAnswers(): Promise<boolean> {
  if (process.env["DOCKER_HOST"] === undefined && !existsSync("/var/run/docker.sock")) return false;
  try {
    const { getContainerRuntimeClient } = await import("testcontainers");
    await getContainerRuntimeClient();
    return true;
  } catch {
    return false;
  }
}

/** Whether the engine has the image or can pull it. */
export async function imageAvailable(image: string): Promise<boolean> {
  const { getContainerRuntimeClient, ImageName } = await import("testcontainers");
  const client = await getContainerRuntimeClient();
  const name = ImageName.fromString(image);
  if (await client.image.exists(name)) return true;
  try {
    await client.image.pull(name);
    return true;
  } catch {
    return false;
  }
}

/** The engine's own handle of a container, for what testcontainers does not offer: kill, and start again. */
export async function engineContainer(container: StartedTestContainer): Promise<EngineContainer> {
  const { getContainerRuntimeClient } = await import("testcontainers");
  const client = await getContainerRuntimeClient();
  return client.container.getById(container.getId());
}

export async function isRunning(container: EngineContainer): Promise<boolean> {
  return (await container.inspect()).State.Running;
}
