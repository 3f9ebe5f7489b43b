import { median } from "../statistics.ts";
import { cpuTimes } from "./cpu.ts";
import type { BenchWorld } from "./world.ts";
import { runWrk, type WrkResult } from "./wrk.ts";

export const throughputLoad = { bodyBytes: 2_048, connections: 64 } as const;

/**
 * Signed 2 KB GitHub webhooks, each under a delivery id of its own, over 64 connections, against bare Fastify that answers 202 and
 * against the least code that proves and keeps them (see `by-hand-role.ts`). A webhook counts when its request, its dedupe key and its
 * job are in the ledger: counted there after the load, against wrk's answers.
 */
export async function measureThroughput(
  { pool, bare, byHand, ingress, githubSecret }: BenchWorld,
  times: number,
  seconds: number,
) {
  const load = { ...throughputLoad, secret: githubSecret };
  const kept = async (
    runId: string,
  ): Promise<{ readonly requests: number; readonly jobs: number; readonly doubled: number }> => {
    const { rows } = await pool.query<{ requests: string; jobs: string; doubled: string }>(
      `select count(*) filter (where status = 'accepted') as requests,
              count(*) filter (where status = 'accepted') - count(distinct dedupe_key) filter (where status = 'accepted') as doubled,
              (select count(*) from warren.jobs) as jobs
       from warren.webhook_requests where dedupe_key like $1`,
      [`%${runId}-%`],
    );
    const row = rows[0];
    return { requests: Number(row?.requests), jobs: Number(row?.jobs), doubled: Number(row?.doubled) };
  };
  const clean = async (): Promise<void> => {
    await pool.query("truncate by_hand, warren.jobs, warren.webhook_requests, warren.webhook_dedupe");
    await pool.query("checkpoint");
  };
  const under = async (pid: number, url: string, runId: string) => {
    await clean();
    const before = cpuTimes(pid);
    const result = await runWrk({ ...load, seconds, runId, url: `${url}/webhooks/github` });
    const after = cpuTimes(pid);
    const each = (part: keyof typeof after): number =>
      Math.round(((after[part] - before[part]) / result.requests) * 10) / 10;
    const cpuUs = {
      server: each("server"),
      postgres: each("postgres"),
      broker: each("broker"),
      load: each("load"),
    };
    // of one core, over the run
    const othersBusy = Math.round(((after.others - before.others) / result.durationUs) * 100) / 100;
    return { result, cost: { cpuUs, othersBusy } };
  };
  const measure = async (runId: string) => {
    const { result: bareResult, cost: bareCost } = await under(bare.pid, bare.url, `${runId}-bare`);
    const { result: handResult, cost: handCost } = await under(byHand.pid, byHand.url, `${runId}-hand`);
    const { rows: keptByHand } = await pool.query<{ count: string }>("select count(*) from by_hand");
    const { result, cost } = await under(ingress.pid, ingress.url, runId);
    const ledger = await kept(runId);
    const answered = result.requests - result.non2xx;
    return {
      run: runId,
      bare: { perSecond: rate(bareResult), p99Ms: bareResult.p99Us / 1000, ...bareCost },
      byHand: {
        perSecond: rate(handResult),
        p99Ms: handResult.p99Us / 1000,
        lost: Math.max(0, handResult.requests - handResult.non2xx - Number(keptByHand[0]?.count)),
        ...handCost,
      },
      warren: {
        perSecond: rate(result),
        p50Ms: result.p50Us / 1000,
        p99Ms: result.p99Us / 1000,
        p999Ms: result.p999Us / 1000,
        non2xx: result.non2xx,
        socketErrors: result.socketErrors,
        ...cost,
      },
      ratio: rate(result) / rate(bareResult),
      byHandRatio: rate(handResult) / rate(bareResult),
      ratioToByHand: rate(result) / rate(handResult),
      // wrk stops reading at its deadline: up to one request per connection is stored and its answer not counted
      lost: Math.max(0, answered - ledger.requests),
      storedBeyondAnswers: ledger.requests - answered,
      jobsMissing: ledger.requests - ledger.jobs,
      duplicates: ledger.doubled,
    };
  };

  await measure("warmup");
  const runs: Awaited<ReturnType<typeof measure>>[] = [];
  for (let number = 1; number <= times; number++) {
    const one = await measure(`run${number}`);
    console.log(JSON.stringify(one));
    runs.push(one);
  }
  const of = (value: (one: (typeof runs)[number]) => number): number =>
    Math.round(median(runs.map(value)) * 1000) / 1000;
  return {
    runs,
    summary: {
      barePerSecond: of((one) => one.bare.perSecond),
      byHandPerSecond: of((one) => one.byHand.perSecond),
      warrenPerSecond: of((one) => one.warren.perSecond),
      ratio: of((one) => one.ratio),
      byHandRatio: of((one) => one.byHandRatio),
      ratioToByHand: of((one) => one.ratioToByHand),
      p50Ms: of((one) => one.warren.p50Ms),
      p99Ms: of((one) => one.warren.p99Ms),
      cpuUs: {
        bare: of((one) => total(one.bare.cpuUs)),
        byHand: of((one) => total(one.byHand.cpuUs)),
        warren: of((one) => total(one.warren.cpuUs)),
      },
      othersBusyAtMost: Math.max(
        ...runs.flatMap(({ bare, byHand, warren }) => [bare.othersBusy, byHand.othersBusy, warren.othersBusy]),
      ),
      lost: runs.reduce((sum, one) => sum + one.lost, 0),
      jobsMissing: runs.reduce((sum, one) => sum + one.jobsMissing, 0),
      duplicates: runs.reduce((sum, one) => sum + one.duplicates, 0),
    },
  };
}

function total(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, part) => sum + part, 0);
}

function rate(of: WrkResult): number {
  return Math.round((of.requests / of.durationUs) * 1e6);
}
