import { z } from "zod";
import type { JobDefinition, PayloadOf, ResultOf } from "../define.ts";

const flowCause = z.enum(["failed", "cancelled"]);

/** The flow as a compensation sees it. */
const undoneFlow = z.object({
  id: z.string(),
  name: z.string(),
  key: z.string().nullable(),
  /** The node to be undone, and its job. */
  node: z.string(),
  jobId: z.string(),
  /** Why the flow is undone. */
  cause: flowCause,
  reason: z.string().nullable(),
  failedNode: z.string().nullable(),
});

type ResultSchema<Definition extends JobDefinition> =
  NonNullable<Definition["result"]> extends infer Schema extends z.ZodType ? Schema : z.ZodUnknown;

/**
 * The payload of the job that undoes `definition`: what that was given, what it returned, and the flow.
 * `defineJob({ name: "stock.release", payload: compensates(reserve) })`.
 */
export function compensates<Definition extends JobDefinition>(definition: Definition) {
  const payload: Definition["payload"] = definition.payload;
  return z.object({
    payload,
    result: (definition.result ?? z.unknown()) as ResultSchema<Definition>,
    flow: undoneFlow,
  });
}

/** What a compensation of `Definition` is given. */
export interface Undo<Definition extends JobDefinition> {
  readonly payload: PayloadOf<Definition>;
  readonly result: ResultOf<Definition>;
  readonly flow: z.input<typeof undoneFlow>;
}

/** The payload of a flow's `onFinished` job: how the flow ended. */
export const flowEnd = z.object({
  flowId: z.string(),
  name: z.string(),
  key: z.string().nullable(),
  state: z.enum(["succeeded", "failed", "compensated", "compensation_failed", "cancelled"]),
  cause: flowCause.nullable(),
  reason: z.string().nullable(),
  failedNode: z.string().nullable(),
});

export type FlowEndPayload = z.input<typeof flowEnd>;
