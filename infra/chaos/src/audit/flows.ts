import type { Effect } from "../database-record.ts";
import { after, type Node, nodes, undone } from "../flow.ts";
import type { PromisedFlow } from "../promises.ts";
import type { Attempt } from "./attempts.ts";
import { type Finding, groupBy } from "./finding.ts";

export interface FlowKinds {
  readonly step: string;
  readonly undo: string;
  readonly ended: string;
}

interface Told {
  readonly flow: PromisedFlow;
  readonly steps: readonly Effect[];
  readonly undos: readonly Effect[];
  readonly ends: readonly Effect[];
  readonly attempts: readonly Attempt[];
}

/** Every flow told its end once, and what it did fits that end; what was done was undone once, in reverse order. Pure. */
export function auditFlows(
  flows: readonly PromisedFlow[],
  effects: readonly Effect[],
  attempts: readonly Attempt[],
  kinds: FlowKinds,
): readonly Finding[] {
  const byFlow = groupBy(effects, ({ number }) => String(number));
  const attemptsByFlow = groupBy(attempts, ({ number }) => String(number));
  return flows.flatMap((flow): readonly Finding[] => {
    const own = byFlow.get(String(flow.number)) ?? [];
    const of = (kind: string): readonly Effect[] => own.filter((effect) => effect.kind === kind);
    const told: Told = {
      flow,
      steps: of(kinds.step),
      undos: of(kinds.undo),
      ends: of(kinds.ended),
      attempts: attemptsByFlow.get(String(flow.number)) ?? [],
    };
    if (flow.answer === "unknown" && own.length === 0) return [];
    return [...wrongEnd(told), ...wrongSteps(told), ...wrongUndos(told, kinds)].map((what) => ({
      rule: "flow",
      what: `flow ${flow.number}: ${what}`,
      facts: { flow, effects: own },
    }));
  });
}

const nodesOf = (effects: readonly Effect[]): readonly string[] => effects.map(({ key }) => key);
const wasDone = ({ steps }: Told, node: string): boolean => nodesOf(steps).includes(node);

function wrongEnd(told: Told): readonly string[] {
  const { flow, ends, steps, undos } = told;
  if (ends.length !== 1) return [`it told its end ${ends.length} times`];
  const state = ends[0]?.key ?? "";
  const complete = nodes.every((node) => wasDone(told, node));
  const nothingUndone = undos.length === 0;
  const toUndo = undone.some((node) => wasDone(told, node));
  switch (state) {
    case "succeeded":
      if (flow.fatal !== undefined) return [`it succeeded, and ${flow.fatal} cannot`];
      return complete && nothingUndone ? [] : ["it succeeded, and not all of it was done"];
    case "compensated":
      if (flow.fatal === undefined && !flow.cancelled) return ["it was undone, and nothing had failed"];
      return toUndo ? [] : ["it was undone, and nothing had been done"];
    case "failed":
      if (flow.fatal === undefined) return ["it failed, and nothing of it could"];
      return toUndo ? [`it failed, and ${nodesOf(steps).join(", ")} was not undone`] : [];
    case "cancelled":
      if (!flow.cancelled) return ["it was cancelled, and nobody asked for that"];
      return toUndo ? ["it was cancelled, and what was done was not undone"] : [];
    default:
      return [`it ended as ${state}`];
  }
}

function wrongSteps(told: Told): readonly string[] {
  const { flow, steps } = told;
  const wrong: string[] = [];
  const places = new Map(steps.map(({ key, position }) => [key, position]));
  for (const { key: node, position } of steps) {
    if (node === flow.fatal) wrong.push(`${node} cannot succeed, and did`);
    for (const before of after[node as Node] ?? []) {
      if ((places.get(before) ?? Number.POSITIVE_INFINITY) > position) wrong.push(`${node} was done before ${before}`);
    }
  }
  return wrong;
}

function wrongUndos(told: Told, kinds: FlowKinds): readonly string[] {
  const { undos, ends, steps } = told;
  if (ends[0]?.key !== "compensated") return undos.length === 0 ? [] : ["something was undone without need"];
  const wrong: string[] = [];
  for (const node of undone) {
    const times = undos.filter(({ key }) => key === node).length;
    const wanted = wasDone(told, node) ? 1 : 0;
    if (times !== wanted) wrong.push(`${node} was done ${wanted} times and undone ${times} times`);
  }
  const undoneAt = new Map(undos.map(({ key, position }) => [key, position]));
  for (const first of steps) {
    for (const second of steps) {
      if (!surelyBefore(told, first.key, second.key, kinds)) continue;
      const one = undoneAt.get(first.key);
      const other = undoneAt.get(second.key);
      if (one !== undefined && other !== undefined && one < other) {
        wrong.push(`${first.key} was done before ${second.key} and undone before it`);
      }
    }
  }
  const firstUndo = Math.min(...undos.map(({ position }) => position));
  if (steps.some(({ position }) => position > firstUndo)) wrong.push("something was done after the undoing had begun");
  return wrong;
}

/** By the flow's plan; or, of nodes beside each other, because one had noted its end before the other's last attempt began. */
function surelyBefore({ attempts }: Told, first: string, second: string, kinds: FlowKinds): boolean {
  if ((after[second as Node] ?? []).includes(first as Node)) return true;
  const done = (node: string): Attempt | undefined =>
    attempts.find(({ kind, key, ending }) => kind === kinds.step && key === node && ending === "done");
  const one = done(first);
  const other = done(second);
  return one !== undefined && other !== undefined && one.endMs < other.startMs;
}
