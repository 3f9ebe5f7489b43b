import { execFile } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { dockerAnswers, findOnPath, LocalServerError, spawnTied, testImagesAvailable, waitFor } from "@warren/testing";
import { installPackages } from "./debian-packages.ts";

export interface EngineOptions {
  /** Folder for the data of an engine that is started here. */
  readonly folder: string;
  readonly say: (sentence: string) => void;
}

/** A Docker engine with the images that the tests need; disposing it stops the engine if it was started here. */
export interface Engine extends AsyncDisposable {
  /** What the tests need in their environment to use it. */
  readonly env: NodeJS.ProcessEnv;
}

const script = fileURLToPath(new URL("../../images/make-base-images.sh", import.meta.url));

/**
 * The engine that answers, with the official images where it has or can pull them; or else, as root on Debian or Ubuntu, an engine of our own on a socket of its
 * own, with locally made images (`infra/images`), since a machine without an engine is likely one without an image registry too.
 */
export async function openEngine({ folder, say }: EngineOptions): Promise<Engine> {
  if (await dockerAnswers()) {
    const env = (await testImagesAvailable()) ? {} : await makeImages(process.env, say);
    return { env, [Symbol.asyncDispose]: async () => undefined };
  }
  const missing = ["dockerd", "debootstrap"].filter((name) => findOnPath(name) === undefined);
  if (missing.length > 0) {
    await installPackages(
      missing.map((name) => (name === "dockerd" ? "docker.io" : name)),
      {
        say,
        otherwise:
          "the testcontainers suite needs a Docker engine: install and start one (https://docs.docker.com/engine/install/)",
      },
    );
  }
  await using stack = new AsyncDisposableStack();
  const { socket, stop } = await startEngine(folder, say);
  stack.defer(stop);
  const env = {
    DOCKER_HOST: socket,
    // Published ports are on loopback, also where testcontainers takes this machine for a container and would use the gateway.
    TESTCONTAINERS_HOST_OVERRIDE: "127.0.0.1",
    // Nobody could pull the image of testcontainers' reaper; the containers go with this engine.
    TESTCONTAINERS_RYUK_DISABLED: "true",
  };
  const images = await makeImages({ ...process.env, ...env }, say);
  const held = stack.move();
  return { env: { ...env, ...images }, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

async function startEngine(
  folder: string,
  say: EngineOptions["say"],
): Promise<{ socket: string; stop: () => Promise<void> }> {
  const home = join(folder, "docker");
  const logFile = join(folder, "dockerd.log");
  const socket = `unix://${join(home, "docker.sock")}`;
  await mkdir(home, { recursive: true });
  say("starting a Docker engine of our own");
  const flags = ["--iptables=false", "--ip6tables=false", "--ip=127.0.0.1"];
  const folders = [
    `--data-root=${join(home, "data")}`,
    `--exec-root=${join(home, "exec")}`,
    `--pidfile=${join(home, "pid")}`,
  ];
  const engine = await spawnTied({
    command: findOnPath("dockerd") ?? "dockerd",
    args: [...flags, ...folders, `--host=${socket}`],
    env: process.env,
    cwd: home,
    output: { file: logFile },
    // Killed, it would leave its containers behind.
    deathSignal: "SIGTERM",
  });
  const stop = async (): Promise<void> => {
    engine.signal("SIGTERM");
    await engine.exited;
    // The engine leaves this mount behind, and the folder could not be removed.
    await promisify(execFile)("umount", [join(home, "exec", "netns", "default")]).catch(() => undefined);
  };
  const info = (): Promise<unknown> =>
    promisify(execFile)("docker", ["info"], { env: { ...process.env, DOCKER_HOST: socket } });
  const answers = async (): Promise<boolean> => !engine.running() || info().then(() => true);
  await waitFor(answers, { timeoutMs: 60_000, intervalMs: 200 }).catch(() => undefined);
  if (
    !engine.running() ||
    !(await info().then(
      () => true,
      () => false,
    ))
  ) {
    await stop();
    const tail = (await readFile(logFile, "utf8").catch(() => "")).trimEnd().split("\n").slice(-5).join("\n");
    throw new LocalServerError("LOCAL_SERVER_FAILED", `the Docker engine did not start:\n${tail}`);
  }
  return { socket, stop };
}

/** Answers the settings that the script prints: which images to use instead of the official ones. */
async function makeImages(env: NodeJS.ProcessEnv, say: EngineOptions["say"]): Promise<NodeJS.ProcessEnv> {
  say("making the images of RabbitMQ and PostgreSQL (about a minute)");
  try {
    const { stdout } = await promisify(execFile)("sh", [script, "rabbitmq", "postgres"], { env });
    return Object.fromEntries(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split("=") as [string, string]),
    );
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr ?? String(cause);
    throw new LocalServerError("LOCAL_SERVER_FAILED", `the images could not be made:\n${said.trimEnd()}`, { cause });
  }
}
