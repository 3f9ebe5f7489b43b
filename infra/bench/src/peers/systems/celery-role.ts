import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type ChannelModel, connect } from "amqplib";
import { type Payload, servePeer } from "../peer.ts";

const python = "/usr/bin/python3";
const folder = fileURLToPath(new URL(".", import.meta.url));
const url = process.env["BENCH_AMQP_URL"] ?? "";
const queue = "bench.celery";

/** Celery as it is run for durability: a process adds one task at a time with confirms; prefork workers, at most one a core, ack late. */
servePeer(async () => {
  const adder = startAdder();
  let connection: ChannelModel | undefined;
  return {
    addOne: (payload) => adder.add([payload]),
    addMany: (payloads) => adder.add(payloads),
    work: startWorker,
    async isDrained() {
      connection ??= await connect(url);
      const channel = await connection.createChannel();
      const { messageCount } = await channel.checkQueue(queue);
      await channel.close();
      return messageCount === 0;
    },
  };
});

interface Adder {
  add(payloads: readonly Payload[]): Promise<void>;
}

function startAdder(): Adder {
  let child: ReturnType<typeof spawnAdder> | undefined;
  const waiting: (() => void)[] = [];
  return {
    add(payloads) {
      child ??= spawnAdder(() => waiting.shift()?.());
      const lines = JSON.stringify(payloads.map(({ number, sentAtNs, filler }) => [number, sentAtNs, filler]));
      return new Promise((resolve) => {
        waiting.push(resolve);
        child?.stdin.write(`${lines}\n`);
      });
    },
  };
}

function spawnAdder(answered: () => void) {
  const child = spawn(python, ["celery_add.py"], { cwd: folder, stdio: ["pipe", "pipe", "inherit"] });
  createInterface({ input: child.stdout }).on("line", answered);
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
}

/** The worker's tasks write to a file, which is read here as it grows. */
async function startWorker(concurrency: number, take: (payload: Payload, ranAtNs: bigint) => void) {
  const record = join(await mkdtemp(join(tmpdir(), "warren-bench-celery-")), "record");
  const processes = Math.min(concurrency, 2);
  const args = [
    "-m",
    "celery",
    "-A",
    "celery_tasks",
    "worker",
    "-P",
    "prefork",
    "-c",
    String(processes),
    "-l",
    "ERROR",
  ];
  const child = spawn(python, [...args, "--without-gossip", "--without-mingle", "--without-heartbeat"], {
    cwd: folder,
    env: { ...process.env, BENCH_RECORD: record, C_FORCE_ROOT: "1", BENCH_PREFETCH: concurrency === 1 ? "1" : "64" },
    stdio: ["ignore", "ignore", "ignore"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const stopping = new AbortController();
  const reading = read(record, stopping.signal, take);
  return async () => {
    stopping.abort();
    await reading;
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  };
}

async function read(
  path: string,
  signal: AbortSignal,
  take: (payload: Payload, ranAtNs: bigint) => void,
): Promise<void> {
  await using file = await open(path, "a+");
  let rest = "";
  while (!signal.aborted) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(1 << 16), 0, 1 << 16, undefined);
    if (bytesRead === 0) await sleep(2);
    const lines = (rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [number, sentAtNs = "0", ranAtNs = "0"] = line.split(" ");
      take({ number: Number(number), sentAtNs, filler: "" }, BigInt(ranAtNs));
    }
  }
}
