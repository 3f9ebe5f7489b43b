import { defineFlow, type Flow } from "@warren/jobs";
import { ended, step, undo } from "./jobs.ts";

export const nodes = ["reserve", "charge", "pick", "ship"] as const;
export type Node = (typeof nodes)[number];

/** Which nodes come directly or indirectly after which. */
export const after: Readonly<Record<Node, readonly Node[]>> = {
  reserve: [],
  charge: ["reserve"],
  pick: ["reserve"],
  ship: ["reserve", "charge", "pick"],
};
/** What is undone when the flow fails. */
export const undone: readonly Node[] = ["reserve", "charge", "pick"];

export interface FlowPlan {
  readonly number: number;
  readonly takesMs: number;
  readonly failures: number;
  readonly fatal: Node | undefined;
}

/** reserve, then charge and pick beside each other, then ship; the first three are undone when it fails. */
export function orderFlow({ number, takesMs, failures, fatal }: FlowPlan): Flow {
  const payload = (node: Node) => ({ number, node, takesMs, failures, fatal: node === fatal });
  return defineFlow(
    "chaos.order",
    (flow) => {
      const reserve = flow.job(step, payload("reserve"), { name: "reserve", compensate: undo });
      const charge = flow.job(step, payload("charge"), { name: "charge", compensate: undo, after: reserve });
      const pick = flow.job(step, payload("pick"), { name: "pick", compensate: undo, after: reserve });
      flow.job(step, payload("ship"), { name: "ship", after: [charge, pick] });
    },
    { onFinished: ended },
  );
}
