import { setTimeout as sleep } from "node:timers/promises";
import { createWorker, handle } from "@warren/jobs";
import { serveRole } from "../role.ts";
import { alone, bundled, nowNs } from "./definitions.ts";
import { openParts } from "./parts.ts";

const { ledger, session, log, metrics } = await openParts("bench-worker");
let seen = new Set<number>();
let runs = 0;
let startMs: number[] = [];
let expected = Number.POSITIVE_INFINITY;
let allSeen: () => void = () => undefined;

function record(payload: { readonly number: number; readonly sentAtNs: string }): void {
  runs += 1;
  seen.add(payload.number);
  startMs.push(Number(nowNs() - BigInt(payload.sentAtNs)) / 1e6);
  if (seen.size >= expected) allSeen();
}

const worker = createWorker({
  ledger,
  session,
  log,
  metrics,
  concurrency: Number(process.env["BENCH_CONCURRENCY"] ?? 100),
  jobs: [handle(alone, (job) => record(job.payload)), handle(bundled, (job) => record(job.payload))],
});

/** Waits until every number was handled and nothing is left unsettled: durable completion. */
async function expectJobs(count: number): Promise<object> {
  expected = count;
  if (seen.size < count) {
    await new Promise<void>((resolve) => {
      allSeen = resolve;
    });
  }
  const unsettled = `select exists (select from ${ledger.table("jobs")} where state = 'running' and worker_id = $1) as open`;
  while ((await ledger.query(unsettled, [worker.id])).rows[0]?.["open"] !== false) await sleep(2);
  return { unique: seen.size, duplicates: runs - seen.size, startMs };
}

serveRole(async (command) => {
  switch (command.do) {
    case "start":
      await worker.start();
      return {};
    case "reset":
      seen = new Set();
      runs = 0;
      startMs = [];
      expected = Number.POSITIVE_INFINITY;
      return {};
    case "expect":
      return expectJobs(Number(command["count"]));
    default:
      throw new Error(`unknown command ${command.do}`);
  }
});
