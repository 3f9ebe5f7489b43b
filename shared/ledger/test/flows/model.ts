import type { FailurePolicy, FlowState, NodeState } from "@warren/ledger";

/** The pure model of one flow: what must be true, told without tables, signals or processes. */
export interface Model {
  readonly nodes: Map<string, ModelNode>;
  flow: FlowState;
  cause: "failed" | "cancelled" | undefined;
  /** Counts completions. */
  completions: number;
  /** Names of nodes to be undone, in order, once the flow is undone. */
  undos: { readonly node: string; state: "waiting" | "started" | "done" | "failed" }[];
  /** Nodes whose failure has not been acted upon. */
  fresh: Set<string>;
}

export interface ModelNode {
  readonly name: string;
  readonly policy: FailurePolicy;
  readonly eager: boolean;
  readonly compensated: boolean;
  readonly waitsFor: { readonly on: string; readonly kind: "after" | "child" }[];
  node: NodeState;
  /** While it is open. */
  job: "blocked" | "ready" | "running" | "retrying";
  attempt: number;
  stalls: number;
  doneAt: number;
  /** It ended because its flow did. */
  stopped: boolean;
  /** It could start before what it comes after was retried: a retry calls nothing back. */
  letGo: boolean;
}

export const maxStalls = 1;

export const isOpen = (node: ModelNode): boolean => node.node === "open";
const failed = (node: ModelNode): boolean => node.node !== "open" && node.node !== "succeeded";

function parents(model: Model, node: ModelNode): readonly ModelNode[] {
  return node.waitsFor.map(({ on }) => model.nodes.get(on)!);
}
const holds = (parent: ModelNode): boolean =>
  parent.node !== "succeeded" && (isOpen(parent) || parent.policy !== "ignore");
const isHeld = (model: Model, node: ModelNode): boolean => parents(model, node).some(holds);
const startsEarly = (model: Model, node: ModelNode): boolean => node.eager && parents(model, node).some(failed);
const isBroken = (model: Model, node: ModelNode): boolean =>
  parents(model, node).some((parent) => failed(parent) && parent.policy !== "ignore");

/** Whether the job may run, said by what it comes after alone. */
export const mayRun = (model: Model, node: ModelNode): boolean =>
  node.letGo ||
  node.waitsFor.filter(({ kind }) => kind === "after").every(({ on }) => !holds(model.nodes.get(on)!)) ||
  startsEarly(model, node);

export function end(model: Model, node: ModelNode, state: Exclude<NodeState, "open">): void {
  node.node = state;
  node.doneAt = model.completions += 1;
  if (state === "failed" || state === "cancelled") model.fresh.add(node.name);
}

/** A job that was asked to stop, and did not succeed all the same. */
export function endStopped(model: Model, node: ModelNode): void {
  end(model, node, "cancelled");
  node.stopped = true;
}

/** Everything that follows from what has happened. */
export function settle(model: Model): void {
  if (model.flow === "running") {
    const fatal = [...model.fresh].some((name) => model.nodes.get(name)!.policy === "fail");
    if (fatal) stop(model, "failed");
    else goOn(model);
  }
  model.fresh.clear();
  const nodes = [...model.nodes.values()];
  if (model.flow === "stopping") {
    for (const node of nodes.filter((one) => isOpen(one) && one.job !== "running")) {
      endStopped(model, node);
    }
    model.fresh.clear();
    if (!nodes.some(isOpen)) undo(model);
  }
  if (model.flow === "running" && !nodes.some(isOpen)) {
    if (nodes.some((node) => failed(node) && node.policy !== "ignore")) {
      model.cause = "failed";
      undo(model);
    } else model.flow = "succeeded";
  }
}

export function stop(model: Model, cause: "failed" | "cancelled"): void {
  model.flow = "stopping";
  model.cause = cause;
}

function goOn(model: Model): void {
  const blocked = () => [...model.nodes.values()].filter((node) => isOpen(node) && node.job === "blocked");
  for (;;) {
    const hopeless = blocked().filter((node) => isBroken(model, node) && !startsEarly(model, node));
    if (hopeless.length === 0) break;
    for (const node of hopeless) end(model, node, "skipped");
  }
  for (const node of blocked()) if (!isHeld(model, node) || startsEarly(model, node)) node.job = "ready";
}

function undo(model: Model): void {
  const steps = [...model.nodes.values()].filter((node) => node.node === "succeeded" && node.compensated);
  steps.sort((x, y) => y.doneAt - x.doneAt);
  model.undos = steps.map(({ name }) => ({ node: name, state: "waiting" as const }));
  model.flow = "compensating";
  undoNext(model);
}

export function undoNext(model: Model): void {
  const next = model.undos.find(({ state }) => state !== "done");
  if (next === undefined) model.flow = model.undos.length === 0 ? model.cause! : "compensated";
  else if (next.state === "failed") model.flow = "compensation_failed";
  else next.state = "started";
}

type RetryRefusal = "FLOW_NOT_RETRIABLE" | "FLOW_PARENT_FAILED";

/** What a retry opens again, or why it is refused, and which nodes could only be skipped again. */
export type Retried =
  | { readonly opened: readonly string[] }
  | { readonly refused: RetryRefusal; readonly doomed: readonly string[] };

const refused = (code: RetryRefusal, doomed: readonly string[] = []): Retried => ({ refused: code, doomed });

export function retry(model: Model, names?: readonly string[]): Retried {
  if (model.flow === "compensation_failed" && names === undefined) {
    const broken = model.undos.find(({ state }) => state === "failed")!;
    broken.state = "started";
    model.flow = "compensating";
    return { opened: [broken.node] };
  }
  const over = model.flow === "failed" || model.flow === "cancelled";
  if (!over && !(model.flow === "running" && names !== undefined)) return refused("FLOW_NOT_RETRIABLE");
  if (names?.some((name) => !failed(model.nodes.get(name)!))) return refused("FLOW_NOT_RETRIABLE");
  const chosen = new Set<string>();
  const choose = (one: ModelNode): void => {
    if (chosen.has(one.name)) return;
    chosen.add(one.name);
    for (const child of model.nodes.values()) {
      if (child.node === "skipped" && child.waitsFor.some(({ on }) => on === one.name)) choose(child);
    }
  };
  for (const one of model.nodes.values()) {
    const wanted = names === undefined ? one.policy !== "ignore" : names.includes(one.name);
    if (failed(one) && (one.stopped || wanted)) choose(one);
  }
  if (chosen.size === 0) return refused("FLOW_NOT_RETRIABLE");
  const doomed = (names ?? []).filter((name) => isDoomed(model, name, chosen));
  if (doomed.length > 0) return refused("FLOW_PARENT_FAILED", doomed);
  for (const one of model.nodes.values()) {
    if (isOpen(one) && one.job !== "blocked") one.letGo = true;
  }
  for (const name of chosen) {
    const one = model.nodes.get(name)!;
    one.letGo = false;
    one.node = "open";
    one.stopped = false;
  }
  for (const name of chosen) {
    const one = model.nodes.get(name)!;
    one.job = isHeld(model, one) && !startsEarly(model, one) ? "blocked" : "ready";
  }
  model.flow = "running";
  model.cause = undefined;
  return { opened: [...chosen] };
}

/** Whether a node, opened with `chosen`, could only be skipped again. */
function isDoomed(model: Model, name: string, chosen: ReadonlySet<string>): boolean {
  const node = model.nodes.get(name)!;
  return (
    !node.eager &&
    parents(model, node).some(
      (parent) =>
        parent.policy !== "ignore" && (chosen.has(parent.name) ? isDoomed(model, parent.name, chosen) : failed(parent)),
    )
  );
}

/**
 * What a retry of jobs by their states does: those of the flow together, those that could only be skipped again left out, and the
 * compensation that failed. Answers how many come back, and how many are refused by code.
 */
export function retryJobs(model: Model, states: readonly ("dead" | "cancelled")[]) {
  const wanted = (node: ModelNode): boolean =>
    failed(node) && states.includes(node.node === "failed" ? "dead" : "cancelled");
  let names = [...model.nodes.values()].filter(wanted).map(({ name }) => name);
  const broken = states.includes("dead") && model.undos.some(({ state }) => state === "failed");
  const matched = names.length + (broken ? 1 : 0);
  const skips: Partial<Record<Lowercase<RetryRefusal>, number>> = {};
  let changed = 0;
  while (names.length > 0) {
    const answer = retry(model, names);
    if ("opened" in answer) {
      changed += names.length;
      break;
    }
    const left = answer.doomed.length > 0 ? answer.doomed : names;
    const code = answer.refused.toLowerCase() as Lowercase<RetryRefusal>;
    skips[code] = (skips[code] ?? 0) + left.length;
    names = names.filter((name) => !left.includes(name));
  }
  if (broken) {
    retry(model);
    changed += 1;
  }
  return { matched, changed, skips };
}

/** Whether `to` waits for `from`, directly or not, or is it. */
export function waits(model: Model, to: string, from: string): boolean {
  return to === from || model.nodes.get(to)!.waitsFor.some(({ on }) => waits(model, on, from));
}
