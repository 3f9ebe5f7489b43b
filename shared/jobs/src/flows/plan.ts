import { nearest } from "@warren/contracts";
import type { FailurePolicy } from "@warren/ledger";
import type { JobDefinition } from "../define.ts";
import type { EnqueueOptions } from "../enqueue/draft.ts";
import { FlowError } from "./errors.ts";

/** The most nodes of a flow, and the most dependencies between them. */
export const mostNodes = 50_000;
export const mostEdges = 200_000;

/** A node as it was planned: checked, and not yet written. */
export interface PlannedNode {
  readonly name: string;
  readonly definition: JobDefinition;
  readonly payload: unknown;
  readonly options: Pick<EnqueueOptions, "key" | "delayMs" | "at" | "priority">;
  readonly after: readonly string[];
  readonly onFailure: FailurePolicy;
  readonly startOnFailure: boolean;
  readonly compensate: JobDefinition | undefined;
}

/** A flow, ready to be started any number of times. Make it with `defineFlow`, `chain`, `group` or `chord`. */
export interface Flow {
  readonly name: string;
  readonly nodes: readonly PlannedNode[];
  readonly onFinished: JobDefinition | undefined;
}

/**
 * Checks that a plan can ever be finished. Pure.
 * @throws FlowError `FLOW_TOO_LARGE`, `FLOW_NODE_DUPLICATE`, `FLOW_PARENT_UNKNOWN`, `FLOW_CYCLE`.
 */
export function checkPlan(flow: string, nodes: readonly Pick<PlannedNode, "name" | "after">[]): void {
  if (nodes.length > mostNodes) {
    throw new FlowError("FLOW_TOO_LARGE", `flow "${flow}": ${nodes.length} nodes, at most ${mostNodes} are allowed`, {
      flow,
    });
  }
  const edges = nodes.reduce((sum, { after }) => sum + after.length, 0);
  if (edges > mostEdges) {
    throw new FlowError(
      "FLOW_TOO_LARGE",
      `flow "${flow}": ${edges} dependencies, at most ${mostEdges} are allowed; join wide groups by one node between them`,
      { flow },
    );
  }
  const names = new Set<string>();
  for (const { name } of nodes) {
    if (names.has(name)) {
      throw new FlowError("FLOW_NODE_DUPLICATE", `flow "${flow}": two nodes are named "${name}"`, { flow, node: name });
    }
    names.add(name);
  }
  for (const { name, after } of nodes) {
    for (const parent of after) if (!names.has(parent)) throw unknownParent(flow, { name, parent, names: [...names] });
  }
  const circle = findCircle(nodes);
  if (circle !== undefined) {
    throw new FlowError(
      "FLOW_CYCLE",
      `flow "${flow}": the jobs wait for each other in a circle: ${circle.join(" → ")}`,
      {
        flow,
        circle,
      },
    );
  }
}

function unknownParent(
  flow: string,
  { name, parent, names }: { readonly name: string; readonly parent: string; readonly names: readonly string[] },
): FlowError {
  const near = nearest(parent, names);
  const hint = near === undefined ? "" : `; did you mean "${near}"?`;
  return new FlowError(
    "FLOW_PARENT_UNKNOWN",
    `flow "${flow}": node "${name}" shall come after "${parent}", which this flow does not have${hint}`,
    { flow, node: name, parent, ...(near === undefined ? {} : { nearest: near }) },
  );
}

/** Names along a circle, each before the one that comes after it, the first again at the end; or undefined. Pure. */
export function findCircle(nodes: readonly Pick<PlannedNode, "name" | "after">[]): readonly string[] | undefined {
  const children = new Map<string, string[]>(nodes.map(({ name }) => [name, []]));
  const open = new Map(nodes.map(({ name, after }) => [name, after.length]));
  for (const { name, after } of nodes) for (const parent of after) children.get(parent)?.push(name);
  // take away what waits for nothing, until nothing is left, or only circles and what comes after them
  const free = nodes.filter(({ after }) => after.length === 0).map(({ name }) => name);
  for (let name = free.pop(); name !== undefined; name = free.pop()) {
    open.delete(name);
    for (const child of children.get(name) ?? []) {
      const left = (open.get(child) ?? 0) - 1;
      open.set(child, left);
      if (left === 0) free.push(child);
    }
  }
  const [start] = open.keys();
  if (start === undefined) return undefined;
  // everything left has a parent that is left: going up ends in a circle
  const parentOf = new Map(nodes.map(({ name, after }) => [name, after.find((parent) => open.has(parent))]));
  const path: string[] = [];
  const seen = new Set<string>();
  let at = start;
  while (!seen.has(at)) {
    seen.add(at);
    path.push(at);
    at = parentOf.get(at) ?? start;
  }
  return [...path.slice(path.indexOf(at)), at].toReversed();
}
