import type { FailurePolicy } from "@warren/ledger";
import { z } from "zod";
import type { JobDefinition, PayloadOf } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { durationMs, instant, jobName, parseOptions } from "../options.ts";
import { FlowError } from "./errors.ts";
import { checkPlan, type Flow, type PlannedNode } from "./plan.ts";
import type { FlowEndPayload, Undo } from "./schemas.ts";

/** A node of a flow under definition, to name it in `after`. */
export interface NodeRef {
  readonly name: string;
  /** The flow that it belongs to. */
  readonly flow: FlowBuilder;
}

/** What a node comes after: nodes of the same flow, or their names, also of nodes that follow later. */
export type After = NodeRef | string;

/** A definition that takes `Input` as its payload. */
type Takes<Definition extends JobDefinition, Input> = Input extends PayloadOf<Definition> ? Definition : never;

export interface StepOptions<Definition extends JobDefinition, Compensation extends JobDefinition> {
  /** Default: the name of its definition; further ones `name-2`, `name-3`, … */
  readonly name?: string;
  /**
   * What its failure or cancelling does. `fail` (default): the flow fails at once. `continue`: what comes after it is skipped, other
   * branches go on, and the flow fails at its end. `ignore`: what comes after it runs all the same, without its result.
   */
  readonly onFailure?: FailurePolicy;
  /** Starts as soon as one of the nodes before it has failed, without waiting for the rest. For nodes after `ignore`d ones. */
  readonly startOnFailure?: boolean;
  /** Undoes it when the flow fails or is cancelled after it has succeeded. Its payload is `compensates(definition)`. */
  readonly compensate?: Takes<Compensation, Undo<Definition>>;
  /** Counts from the moment it could start. */
  readonly delayMs?: number;
  readonly at?: Date;
  readonly priority?: number;
  /** What limits, order and fairness go by. */
  readonly key?: string;
}

export interface NodeOptions<Definition extends JobDefinition, Compensation extends JobDefinition>
  extends StepOptions<Definition, Compensation> {
  /** It starts when all of these have succeeded. Default: at once. */
  readonly after?: After | readonly After[];
}

/** A job for `chain`, `group` and `chord`. Make it with `step`. */
export interface Step {
  readonly definition: JobDefinition;
  readonly payload: unknown;
  readonly options: object;
}

export interface FlowBuilder {
  /** Adds a job. */
  job<Definition extends JobDefinition, Compensation extends JobDefinition>(
    definition: Definition,
    payload: PayloadOf<Definition>,
    options?: NodeOptions<Definition, Compensation>,
  ): NodeRef;
  /** Jobs one after the other; answers them in order. */
  chain(steps: readonly Step[], after?: After | readonly After[]): readonly NodeRef[];
  /** Jobs beside each other. */
  group(steps: readonly Step[], after?: After | readonly After[]): readonly NodeRef[];
}

export interface FlowOptions<Finished extends JobDefinition> {
  /** Enqueued when the flow has ended, whichever way. Its payload is `flowEnd`. */
  readonly onFinished?: Takes<Finished, FlowEndPayload>;
}

const definition = z.custom<JobDefinition>(
  (value) => typeof value === "object" && value !== null && "payload" in value && "attempts" in value,
  "expected a job definition",
);
const nodeName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/, {
  error: "expected 1 to 200 letters, digits, dots, dashes, slashes or underscores, beginning with a letter or digit",
});
const stepShape = {
  name: nodeName.optional(),
  onFailure: z.enum(["fail", "ignore", "continue"]).default("fail"),
  startOnFailure: z.boolean().default(false),
  compensate: definition.optional(),
  delayMs: durationMs.optional(),
  at: instant.optional(),
  priority: z.number().int().min(0).max(1_000).optional(),
  key: z.string().min(1).max(200).optional(),
};
const afterShape = z.custom<After | readonly After[]>(
  (value) => (Array.isArray(value) ? value.every(isAfter) : isAfter(value)),
  "expected nodes or names of nodes",
);
const nodeOptions = z.strictObject({ ...stepShape, after: afterShape.optional() });
const flowOptions = z.strictObject({ onFinished: definition.optional() });

function isAfter(value: unknown): value is After {
  if (typeof value === "string") return true;
  return typeof value === "object" && value !== null && "flow" in value && "name" in value;
}

/**
 * Defines a flow: jobs that depend on each other. `build` adds them; nothing is written before `client.startFlow`.
 * @throws FlowError `FLOW_CYCLE` (which names the circle), `FLOW_PARENT_UNKNOWN`, `FLOW_NODE_DUPLICATE`, `FLOW_TOO_LARGE`,
 * `FLOW_OPTION_INVALID`.
 */
export function defineFlow<Finished extends JobDefinition>(
  name: string,
  build: (flow: FlowBuilder) => void,
  options: FlowOptions<Finished> = {},
): Flow {
  const parsedName = jobName.safeParse(name);
  if (!parsedName.success)
    throw invalid(`defineFlow: the name "${name}": ${parsedName.error.issues[0]?.message}`, { name });
  const { onFinished } = parse(`flow "${name}"`, flowOptions, options);
  const nodes: PlannedNode[] = [];
  const names = createNames();

  function add(given: Step & { readonly after: After | readonly After[] | undefined }): NodeRef {
    const what = `flow "${name}", node ${nodes.length + 1} (${given.definition.name})`;
    const all = { ...given.options, ...(given.after === undefined ? {} : { after: given.after }) };
    const { name: own, after = [], onFailure, startOnFailure, compensate, ...timing } = parse(what, nodeOptions, all);
    const node = own ?? names.next(given.definition.name);
    names.take(node);
    const parents = (Array.isArray(after) ? (after as readonly After[]) : [after as After]).map((one) => {
      if (typeof one === "string") return one;
      if (one.flow === builder) return one.name;
      throw new FlowError(
        "FLOW_PARENT_UNKNOWN",
        `flow "${name}": node "${node}" shall come after "${one.name}", which belongs to another flow`,
        { flow: name, node, parent: one.name },
      );
    });
    nodes.push({
      name: node,
      definition: given.definition,
      payload: given.payload,
      options: withoutUndefined(timing),
      after: [...new Set(parents)],
      onFailure,
      startOnFailure,
      compensate,
    });
    return { name: node, flow: builder };
  }

  const builder: FlowBuilder = {
    job: (definition, payload, options = {}) => add({ definition, payload, options, after: undefined }),
    chain(steps, after) {
      let before = after;
      return steps.map((one) => {
        const ref = add({ ...one, after: before });
        before = ref;
        return ref;
      });
    },
    group: (steps, after) => steps.map((one) => add({ ...one, after })),
  };
  build(builder);
  checkPlan(name, nodes);
  return Object.freeze({ name, nodes: Object.freeze(nodes), onFinished });
}

/** A job for `chain`, `group` and `chord`. */
export function step<Definition extends JobDefinition, Compensation extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  options: StepOptions<Definition, Compensation> = {},
): Step {
  return { definition, payload, options };
}

/** A flow of jobs one after the other. Throws as `defineFlow`. */
export function chain<Finished extends JobDefinition>(
  name: string,
  steps: readonly Step[],
  options?: FlowOptions<Finished>,
): Flow {
  return defineFlow(name, (flow) => void flow.chain(steps), options);
}

/** A flow of jobs beside each other; it has ended when all have. Throws as `defineFlow`. */
export function group<Finished extends JobDefinition>(
  name: string,
  steps: readonly Step[],
  options?: FlowOptions<Finished>,
): Flow {
  return defineFlow(name, (flow) => void flow.group(steps), options);
}

/** A group, and a job that gets all its results; of an empty group, at once. Throws as `defineFlow`. */
export function chord<Finished extends JobDefinition>(
  name: string,
  steps: readonly Step[],
  callback: Step,
  options?: FlowOptions<Finished>,
): Flow {
  return defineFlow(name, (flow) => void flow.group([callback], flow.group(steps)), options);
}

/** Names for nodes without one. */
function createNames() {
  const used = new Map<string, number>();
  const taken = new Set<string>();
  return {
    take: (name: string): void => void taken.add(name),
    next(base: string): string {
      for (let count = (used.get(base) ?? 0) + 1; ; count += 1) {
        const name = count === 1 ? base : `${base}-${count}`;
        if (taken.has(name)) continue;
        used.set(base, count);
        return name;
      }
    },
  };
}

/** The strict parsing of job options, with a code that says it is about a flow. */
function parse<T extends z.ZodObject>(what: string, schema: T, options: unknown): z.output<T> {
  try {
    return parseOptions(what, schema, options);
  } catch (error) {
    if (error instanceof JobOptionError) throw invalid(error.message, error.details);
    throw error;
  }
}

function invalid(message: string, details: Readonly<Record<string, unknown>>): FlowError {
  return new FlowError("FLOW_OPTION_INVALID", message, details);
}

/** What was not given must not be there: options are exact. */
function withoutUndefined<T extends object>(options: T): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]: Exclude<T[Key], undefined>;
  };
}
