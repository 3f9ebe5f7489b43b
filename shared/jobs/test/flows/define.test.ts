import * as fc from "fast-check";
import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { findCircle, mostEdges, mostNodes } from "../../src/flows/plan.ts";
import {
  chain,
  chord,
  compensates,
  defineFlow,
  defineJob,
  type FlowBuilder,
  flowEnd,
  group,
  type JobFlow,
  type NodeRef,
  step,
} from "../../src/index.ts";

const reserve = defineJob({
  name: "stock.reserve",
  payload: z.object({ sku: z.string() }),
  result: z.object({ reservation: z.string() }),
});
const charge = defineJob({ name: "charge", payload: z.object({ cents: z.number() }) });
const release = defineJob({ name: "stock.release", payload: compensates(reserve) });
const tell = defineJob({ name: "tell", payload: flowEnd });

const shape = (flow: { readonly nodes: readonly { readonly name: string; readonly after: readonly string[] }[] }) =>
  Object.fromEntries(flow.nodes.map(({ name, after }) => [name, after]));

test("nodes are named after their jobs, and counted where a name comes again", () => {
  const flow = defineFlow("f", (f) => {
    const a = f.job(charge, { cents: 1 });
    const b = f.job(charge, { cents: 2 }, { after: a });
    f.job(charge, { cents: 3 }, { name: "last", after: [a, b, "charge"] });
    f.job(charge, { cents: 4 });
  });
  expect(shape(flow)).toEqual({ charge: [], "charge-2": ["charge"], last: ["charge", "charge-2"], "charge-3": [] });
});

test("chain, group and chord are the same flows in fewer words, and compose", () => {
  const steps = [step(charge, { cents: 1 }, { name: "a" }), step(charge, { cents: 2 }, { name: "b" })];
  expect(shape(chain("c", steps))).toEqual({ a: [], b: ["a"] });
  expect(shape(group("g", steps))).toEqual({ a: [], b: [] });
  expect(shape(chord("c", steps, step(charge, { cents: 3 })))).toEqual({ a: [], b: [], charge: ["a", "b"] });
  const nested = defineFlow("n", (f) => {
    const first = f.job(reserve, { sku: "x" }, { name: "first" });
    const both = [first, first].map((_, index) =>
      f
        .chain(
          steps.map((one) => named(one, index)),
          first,
        )
        .at(-1),
    );
    f.job(charge, { cents: 9 }, { name: "end", after: both.filter((ref) => ref !== undefined) });
  });
  expect(shape(nested)).toEqual({ first: [], a0: ["first"], b0: ["a0"], a1: ["first"], b1: ["a1"], end: ["b0", "b1"] });
});
const named = (one: ReturnType<typeof step>, index: number) => {
  const { name } = one.options as { readonly name: string };
  return { ...one, options: { ...one.options, name: `${name}${index}` } };
};

test("of an empty group the callback waits for nothing, and an empty flow is a flow", () => {
  expect(shape(chord("c", [], step(charge, { cents: 1 })))).toEqual({ charge: [] });
  expect(shape(group("g", []))).toEqual({});
});

let stranger: NodeRef | undefined;
defineFlow("other", (f) => {
  stranger = f.job(charge, { cents: 1 }, { name: "stranger" });
});
const job = (f: FlowBuilder, name: string, after: readonly (string | NodeRef)[] = [], more: object = {}) =>
  f.job(charge, { cents: 1 }, { name, after, ...more });

test.for<[string, (f: FlowBuilder) => unknown, object]>([
  [
    "a circle, which is named",
    (f) => [job(f, "a", ["c"]), job(f, "b", ["a"]), job(f, "c", ["b", "d"]), job(f, "d"), job(f, "e", ["a"])],
    { code: "FLOW_CYCLE", details: { flow: "bad", circle: ["a", "b", "c", "a"] } },
  ],
  [
    "a node after itself",
    (f) => job(f, "a", ["a"]),
    { code: "FLOW_CYCLE", details: { flow: "bad", circle: ["a", "a"] } },
  ],
  [
    "an unknown node, and the nearest known",
    (f) => [job(f, "charge-card"), job(f, "b", ["charge-cart"])],
    { code: "FLOW_PARENT_UNKNOWN", details: { flow: "bad", node: "b", parent: "charge-cart", nearest: "charge-card" } },
  ],
  ["a node of another flow", (f) => job(f, "a", [stranger!]), { code: "FLOW_PARENT_UNKNOWN" }],
  [
    "the same name twice",
    (f) => [job(f, "a"), job(f, "a")],
    { code: "FLOW_NODE_DUPLICATE", details: { flow: "bad", node: "a" } },
  ],
  [
    "an unknown option",
    (f) => job(f, "a", [], { onFail: "ignore" }),
    { code: "FLOW_OPTION_INVALID", details: { path: "onFail", nearest: "onFailure" } },
  ],
  [
    "an unknown policy",
    (f) => job(f, "a", [], { onFailure: "explode" }),
    { code: "FLOW_OPTION_INVALID", details: { path: "onFailure" } },
  ],
  ["a delay that is no number", (f) => job(f, "a", [], { delayMs: Number.NaN }), { code: "FLOW_OPTION_INVALID" }],
  ["a negative delay", (f) => job(f, "a", [], { delayMs: -1 }), { code: "FLOW_OPTION_INVALID" }],
  ["a compensation that is no job", (f) => job(f, "a", [], { compensate: () => 1 }), { code: "FLOW_OPTION_INVALID" }],
  ["a name with spaces", (f) => job(f, "a b"), { code: "FLOW_OPTION_INVALID", details: { path: "name" } }],
  [
    "an id of its own, which a node has in its name",
    (f) => job(f, "a", [], { id: "x" }),
    { code: "FLOW_OPTION_INVALID", details: { path: "id" } },
  ],
  [
    "too many nodes",
    (f) => Array.from({ length: mostNodes + 1 }, () => f.job(charge, { cents: 1 })),
    { code: "FLOW_TOO_LARGE" },
  ],
  [
    "too many dependencies",
    (f) => {
      const left = f.group(Array.from({ length: 500 }, () => step(charge, { cents: 1 })));
      return f.group(
        Array.from({ length: mostEdges / 500 + 1 }, () => step(charge, { cents: 1 })),
        left,
      );
    },
    { code: "FLOW_TOO_LARGE" },
  ],
])("a flow with %s is refused", ([, build, expected]) => {
  expect(() => defineFlow("bad", (f) => void build(f))).toThrow(expect.objectContaining(expected) as Error);
});

test("a flow's own name and options are checked", () => {
  const refused = expect.objectContaining({ code: "FLOW_OPTION_INVALID" }) as Error;
  expect(() => defineFlow("", () => undefined)).toThrow(refused);
  expect(() => defineFlow("f", () => undefined, { onEnd: tell } as never)).toThrow(refused);
});

test("property: a circle is found exactly when there is one, and is one", () => {
  const graph = fc.array(fc.array(fc.nat({ max: 7 }), { maxLength: 3 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(graph, (drawn) => {
      const nodes = drawn.map((after, index) => ({
        name: String(index),
        after: [...new Set(after.map((parent) => String(parent % drawn.length)))],
      }));
      const reach = (from: string, to: string, seen = new Set<string>()): boolean =>
        nodes[Number(from)]!.after.some((parent) => {
          if (parent === to) return true;
          if (seen.has(parent)) return false;
          seen.add(parent);
          return reach(parent, to, seen);
        });
      const circle = findCircle(nodes);
      expect(circle !== undefined).toBe(nodes.some(({ name }) => reach(name, name)));
      if (circle === undefined) return;
      expect(circle.at(0)).toBe(circle.at(-1));
      for (const [index, name] of circle.slice(1).entries())
        expect(nodes[Number(name)]!.after).toContain(circle[index]);
    }),
  );
});

const read = async (flow: JobFlow) => {
  expectTypeOf(await flow.resultOf("a", reserve)).toEqualTypeOf<{ reservation: string }>();
  const outcome = await flow.outcomeOf("a", reserve);
  // @ts-expect-error: a failed node has no result
  expectTypeOf(outcome.result).toBeAny();
  if (outcome.state === "succeeded") expectTypeOf(outcome.result).toEqualTypeOf<{ reservation: string }>();
  // @ts-expect-error: the payload is another one's
  await flow.add(charge, { sku: "x" });
};

test("types: payloads, compensations and results fit their jobs", () => {
  const flows = [
    () => defineFlow("f", (f) => void f.job(reserve, { sku: "x" }, { compensate: release })),
    // @ts-expect-error: the payload is another one's
    () => defineFlow("f", (f) => void f.job(reserve, { cents: 1 })),
    // @ts-expect-error: it undoes another job
    () => defineFlow("f", (f) => void f.job(charge, { cents: 1 }, { compensate: release })),
    // @ts-expect-error: it does not take the end of a flow
    () => defineFlow("f", () => undefined, { onFinished: charge }),
    () => defineFlow("f", () => undefined, { onFinished: tell }),
    // @ts-expect-error: no such option
    () => step(charge, { cents: 1 }, { after: "x" }),
  ];
  expectTypeOf(flows).toBeArray();
  expectTypeOf(read).toBeFunction();
});
