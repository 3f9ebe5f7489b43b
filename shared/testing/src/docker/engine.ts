import { existsSync } from "node:fs";
import type { StartedTestContainer } from "testcontainers";
import type { PrivateServer } from "../broker-and-database.ts";
import { waitFor } from "../wait-for.ts";

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

/** A container's life as a private server, through the engine: testcontainers can neither kill nor start again. */
export async function containerLife(
  container: StartedTestContainer,
  ready: () => Promise<void>,
): Promise<Omit<PrivateServer, "version">> {
  const { getContainerRuntimeClient } = await import("testcontainers");
  const client = await getContainerRuntimeClient();
  const engine = client.container.getById(container.getId());
  const isRunning = async (): Promise<boolean> => (await engine.inspect()).State.Running;
  const start = async (): Promise<void> => {
    if (!(await isRunning())) await engine.start();
    await ready();
  };
  const stop = async (): Promise<void> => {
    if (await isRunning()) await engine.stop();
  };
  return {
    async kill() {
      if (!(await isRunning())) return;
      await engine.kill();
      await waitFor(async () => !(await isRunning()), { what: "the killed container to be down" });
    },
    stop,
    start,
    async restart() {
      await stop();
      await start();
    },
    async pause() {
      await engine.pause();
    },
    async resume() {
      await engine.unpause();
    },
    async [Symbol.asyncDispose]() {
      await container.stop();
    },
  };
}
