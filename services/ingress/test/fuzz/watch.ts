import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Loaded into the ingress under test before its own code: says, as JSON lines, when one turn of the event loop has used the processor for
 * too long (time that others took from us does not count), and after SIGUSR2 what memory is in use once the garbage is gone.
 */
const blockedMs = 200;
const everyMs = 10;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

let usedUs = threadUs();
setInterval(() => {
  const now = threadUs();
  const ms = (now - usedUs) / 1000;
  if (ms > blockedMs) say({ fuzz: "blocked", ms: Math.round(ms) });
  usedUs = now;
}, everyMs).unref();

function threadUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

process.on("SIGUSR2", () => {
  collect();
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  say({ fuzz: "memory", rss, heapUsed, external });
  usedUs = threadUs();
});
