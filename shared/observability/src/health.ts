import { scrub } from "./redaction.ts";

/** `degraded`: it works, but somebody should look (the broker blocks publishing); traffic still comes. */
export type HealthStatus = "ok" | "degraded" | "failing";

export interface HealthResult {
  readonly status: HealthStatus;
  /** One line for people; never secrets. */
  readonly detail?: string | undefined;
}

/** Asks one thing. A throw is `failing`; the signal fires when the answer comes too late to count. */
export type HealthCheck = (signal: AbortSignal) => Promise<HealthResult> | HealthResult;

export interface HealthReport {
  /** What the HTTP status says in one word; `starting` and `draining` are not ready, whatever the checks say. */
  readonly status: HealthStatus | "starting" | "draining";
  readonly checks: Readonly<Record<string, HealthResult & { readonly durationMs: number }>>;
}

export interface HealthAnswer {
  readonly httpStatus: 200 | 503;
  readonly body: HealthReport;
}

export interface HealthOptions {
  /** What must work for traffic to come: asked by `readyz` and `healthz`. */
  readonly checks: Readonly<Record<string, HealthCheck>>;
  /** How long one check may take, in milliseconds. Default 1,000: probes give up soon after. */
  readonly timeoutMs?: number;
  /** Whether the process is ready from the first. Default `true`; else it is `starting` until `started()`. */
  readonly started?: boolean;
}

/** The health of a process. Every method answers within the timeout of the slowest check, and never throws. */
export interface Health {
  /** Adds a check; `scope: "detail"` is asked by `healthz` only, for what is worth knowing but must not stop traffic. */
  add(name: string, check: HealthCheck, scope?: "ready" | "detail"): void;
  /** Leaves `starting`. */
  started(): void;
  /** From now on not ready: load balancers send traffic elsewhere while the process finishes its work. */
  drain(): void;
  /** Whether the process is alive. It asks nobody: a broker outage must not get processes killed. */
  livez(): HealthAnswer;
  /** Whether traffic should come: 503 while starting, draining, or when a check fails. */
  readyz(): Promise<HealthAnswer>;
  /** `readyz` with the detail checks, which inform but do not fail. */
  healthz(): Promise<HealthAnswer>;
}

type Phase = "starting" | "running" | "draining";
type Timed = HealthResult & { readonly durationMs: number };

export function createHealth(options: HealthOptions): Health {
  const timeoutMs = options.timeoutMs ?? 1_000;
  const ready = new Map(Object.entries(options.checks).map(([name, check]) => [name, shared(check, timeoutMs)]));
  const detail = new Map<string, () => Promise<Timed>>();
  let phase: Phase = options.started === false ? "starting" : "running";

  return {
    add(name, check, scope = "ready") {
      (scope === "ready" ? ready : detail).set(name, shared(check, timeoutMs));
    },
    started() {
      if (phase === "starting") phase = "running";
    },
    drain() {
      phase = "draining";
    },
    livez: () => ({ httpStatus: 200, body: { status: "ok", checks: {} } }),
    async readyz() {
      return answer(phase, await ask(ready), {});
    },
    async healthz() {
      const [required, informative] = await Promise.all([ask(ready), ask(detail)]);
      return answer(phase, required, informative);
    },
  };
}

async function ask(checks: ReadonlyMap<string, () => Promise<Timed>>): Promise<Record<string, Timed>> {
  return Object.fromEntries(
    await Promise.all([...checks].map(async ([name, check]) => [name, await check()] as const)),
  );
}

function answer(phase: Phase, required: Record<string, Timed>, informative: Record<string, Timed>): HealthAnswer {
  const checks = { ...informative, ...required };
  const failing = Object.values(required).some((check) => check.status === "failing");
  if (phase !== "running") return { httpStatus: 503, body: { status: phase, checks } };
  if (failing) return { httpStatus: 503, body: { status: "failing", checks } };
  const degraded = Object.values(checks).some((check) => check.status !== "ok");
  return { httpStatus: 200, body: { status: degraded ? "degraded" : "ok", checks } };
}

/**
 * A check with its own deadline, run at most once at a time: probes that come meanwhile share the answer, so that many probes
 * of a hanging database do not make many connections.
 */
function shared(check: HealthCheck, timeoutMs: number): () => Promise<Timed> {
  let running: Promise<Timed> | undefined;
  return () => {
    running ??= timed(check, timeoutMs).finally(() => {
      running = undefined;
    });
    return running;
  };
}

async function timed(check: HealthCheck, timeoutMs: number): Promise<Timed> {
  const startedAt = performance.now();
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<HealthResult>((resolve) => {
    timer = setTimeout(() => {
      resolve({ status: "failing", detail: `no answer within ${timeoutMs} ms` });
      controller.abort();
    }, timeoutMs);
  });
  const result = await Promise.race([attempt(check, controller.signal), late]);
  clearTimeout(timer);
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  const text = result.detail === undefined ? {} : { detail: scrub(result.detail) };
  return { status: result.status, ...text, durationMs };
}

async function attempt(check: HealthCheck, signal: AbortSignal): Promise<HealthResult> {
  try {
    return await check(signal);
  } catch (error) {
    return { status: "failing", detail: error instanceof Error ? error.message : String(error) };
  }
}
