import type { RouteFailure } from "../routed.ts";

/** A run of a transform, or with `input: undefined` only a look at whether it could run. */
export interface SandboxTask {
  readonly code: string;
  /** JSON text of the event. */
  readonly input: string | undefined;
  /** Milliseconds of processor time. */
  readonly timeoutMs: number;
  readonly memoryMb: number;
}

interface Report {
  /** What it wrote with `console.log`, bounded. */
  readonly logs: readonly string[];
  readonly durationMs: number;
}

export type SandboxAnswer =
  /** JSON text; `undefined`: it made nothing. */
  | (Report & { readonly kind: "returned"; readonly output: string | undefined })
  | (Report & { readonly kind: "failed"; readonly failure: RouteFailure });

/** What the thread says. `isBroken`: the machine inside did not survive it, and the thread ends. */
export type FromSandbox =
  | { readonly kind: "ready" }
  | { readonly kind: "answer"; readonly answer: SandboxAnswer; readonly isBroken: boolean };
