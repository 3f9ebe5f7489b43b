import { newId } from "@warren/ledger";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { chain, chord, defineFlow, defineJob, handle, NonRetryableError, step } from "../../src/index.ts";
import { type Bench, openBench } from "../fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const add = defineJob({
  name: "add",
  payload: z.object({ value: z.number() }),
  result: z.object({ sum: z.number() }),
  attempts: 2,
  backoff: { kind: "fixed", delayMs: 0 },
});
const sum = defineJob({ name: "sum", payload: z.object({}), result: z.object({ sum: z.number() }) });
const flowIs = (id: string, state: string) =>
  waitFor(async () => (await bench.ledger.flows.find(id))?.state === state, { what: `flow ${id} to be ${state}` });
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "none",
    (error: unknown) => (error as { code: string }).code,
  );

test("children are handled before what comes after them, which is announced without a dispatcher", async () => {
  const order: string[] = [];
  await bench.worker([
    handle(add, ({ payload }) => {
      order.push(`add ${payload.value}`);
      return { sum: payload.value };
    }),
    handle(sum, async (job) => {
      const parts = await job.flow.parents(add);
      order.push("sum");
      return { sum: parts.reduce((total, part) => total + (part.state === "succeeded" ? part.result.sum : 0), 0) };
    }),
  ]);
  const steps = Array.from({ length: 50 }, (_, index) => step(add, { value: index }));
  const { id, jobs } = await bench.client.startFlow(chord("many", steps, step(sum, {})));
  await flowIs(id, "succeeded");
  expect(order).toHaveLength(51);
  expect(order.at(-1)).toBe("sum");
  expect((await bench.ledger.findJob(jobs["sum"]!))?.result).toEqual({ sum: 1_225 });
});

test("a job that is completed in the handler's own transaction lets its flow go on at once", async () => {
  await bench.worker([
    handle(add, async (job) => {
      await bench.ledger.transaction((tx) => job.complete(tx, { sum: 7 }));
      return { sum: 0 };
    }),
    handle(sum, (job) => job.flow.resultOf("add", add)),
  ]);
  const { id, jobs } = await bench.client.startFlow(chain("complete", [step(add, { value: 1 }), step(sum, {})]));
  await flowIs(id, "succeeded");
  expect((await bench.ledger.findJob(jobs["sum"]!))?.result).toEqual({ sum: 7 });
});

test("a child added by an attempt that then fails is not added again by the next one", async () => {
  await bench.worker([
    handle(sum, async (job) => {
      await job.flow.add(add, { value: 1 });
      await job.flow.add(add, { value: 2 });
      if (job.attempt === 1) throw new Error("after adding");
      const parts = await job.flow.waitForChildren(add);
      return { sum: parts.length };
    }),
    handle(add, ({ payload }) => ({ sum: payload.value })),
  ]);
  bench.dispatch();
  const flow = defineFlow("grow", (f) => void f.job(sum, {}, { name: "root" }));
  const { id, jobs } = await bench.client.startFlow(flow);
  await flowIs(id, "succeeded");
  expect((await bench.ledger.findJob(jobs["root"]!))?.result).toEqual({ sum: 2 });
  expect((await bench.ledger.flows.tree(id)).map(({ name }) => name)).toEqual(["root", "root/add", "root/add-2"]);
});

test("what a handler asks of its flow wrongly is told with a code", async () => {
  const codes: Record<string, string> = {};
  await bench.worker([
    handle(add, () => ({ sum: 1 })),
    handle(sum, async (job) => {
      codes["unknown"] = await codeOf(job.flow.resultOf("nope", add));
      codes["open"] = await codeOf(job.flow.resultOf("later", add));
      codes["parent"] = await codeOf(job.flow.add(add, { value: 1 }, { after: "nope" }));
      codes["cycle"] = await codeOf(job.flow.add(add, { value: 1 }, { after: "later" }));
      codes["payload"] = await codeOf(job.flow.add(add, { value: "1" } as never));
      codes["option"] = await codeOf(job.flow.add(add, { value: 1 }, { onFailure: "never" as never }));
      codes["schema"] = await codeOf(job.flow.resultOf("add", other));
      return { sum: 0 };
    }),
  ]);
  const other = defineJob({ name: "add", payload: z.object({}), result: z.object({ other: z.string() }) });
  const flow = chain("wrong", [step(add, { value: 1 }), step(sum, {}), step(add, { value: 1 }, { name: "later" })]);
  const { id } = await bench.client.startFlow(flow);
  await flowIs(id, "succeeded");
  expect(codes).toEqual({
    unknown: "FLOW_NODE_UNKNOWN",
    open: "FLOW_RESULT_ABSENT",
    parent: "FLOW_PARENT_UNKNOWN",
    cycle: "FLOW_CYCLE",
    payload: "JOB_PAYLOAD_INVALID",
    option: "FLOW_OPTION_INVALID",
    schema: "JOB_RESULT_INVALID",
  });
});

test("a job outside a flow has none", async () => {
  const seen: unknown[] = [];
  await bench.worker([
    handle(sum, async ({ flow }) => {
      seen.push(flow.id, await codeOf(flow.resultOf("a", add)), await codeOf(flow.add(add, { value: 1 })));
      return { sum: 0 };
    }),
  ]);
  const { id } = await bench.client.enqueue(sum, {});
  await bench.until(id, "succeeded");
  expect(seen).toEqual([undefined, "FLOW_NONE", "FLOW_NONE"]);
});

test("a flow starts with the caller's transaction, and its first jobs run after the commit", async () => {
  await bench.worker([handle(add, () => ({ sum: 1 }))]);
  bench.dispatch();
  const flow = chain("tx", [step(add, { value: 1 })]);
  const started = await bench.ledger.transaction(async (tx) => {
    const made = await bench.client.startFlow(flow, { id: "t-1", tx });
    expect(await bench.ledger.flows.find(made.id)).toBeUndefined();
    return made;
  });
  await flowIs(started.id, "succeeded");
});

const bulk = (value: unknown) => chain("bulk", [step(add, { value: value as number }), step(sum, {}, { name: "end" })]);

test("of several flows, one that is refused does not mix up the jobs of the others", async () => {
  const answers = await Promise.allSettled([bulk(1), bulk("2"), bulk(3)].map((one) => bench.client.startFlow(one)));
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  const refused = answers[1] as PromiseRejectedResult;
  expect(refused.reason).toMatchObject({
    code: "JOB_PAYLOAD_INVALID",
    message: 'flow "bulk", node "add": payload of add.value: Invalid input: expected number, received string',
    details: { flow: "bulk", node: "add", path: "value" },
  });
  for (const [index, value] of [
    [0, 1],
    [2, 3],
  ] as const) {
    const { value: started } = answers[index] as PromiseFulfilledResult<
      Awaited<ReturnType<typeof bench.client.startFlow>>
    >;
    expect(await bench.ledger.findJob(started.jobs["add"]!)).toMatchObject({ flowId: started.id, payload: { value } });
    expect((await bench.ledger.findJob(started.jobs["end"]!))?.state).toBe("blocked");
  }
});

test("a worker killed in the middle of a flow delays it, and nothing runs twice that was done", async () => {
  const ran: string[] = [];
  const { id, jobs } = await bench.client.startFlow(
    chain("killed", [step(add, { value: 1 }), step(add, { value: 2 }), step(sum, {})]),
  );
  // the first job is done by a process that dies before it can tell anybody
  const workerId = newId();
  await bench.ledger.registerWorker({ id: workerId, host: "gone", pid: 1, version: "", queues: [], concurrency: 1 });
  const [claimed] = await bench.ledger.claim({ workerId, ids: [jobs["add"]!] });
  const outcome = { kind: "succeeded", result: { sum: 1 } } as const;
  await bench.ledger.transaction((run) => bench.ledger.settleIn(run, { ...claimed!, workerId, outcome }));
  expect((await bench.ledger.findJob(jobs["add-2"]!))?.state).toBe("blocked");
  await bench.worker([
    handle(add, ({ payload }) => {
      ran.push(`add ${payload.value}`);
      return { sum: payload.value };
    }),
    handle(sum, () => ({ sum: ran.push("sum") })),
  ]);
  bench.dispatch();
  await bench.ledger.flows.follow([jobs["add"]!]);
  await flowIs(id, "succeeded");
  expect(ran).toEqual(["add 2", "sum"]);
});

test("when a flow fails, the signals of its running jobs abort, and it ends when they have", async () => {
  const running = Promise.withResolvers<void>();
  await bench.worker([
    handle(add, async () => {
      await running.promise;
      throw new NonRetryableError("for the test");
    }),
    handle(sum, async ({ signal }) => {
      running.resolve();
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      });
      return { sum: 0 };
    }),
  ]);
  const flow = defineFlow("abort", (f) => void f.group([step(add, { value: 1 }), step(sum, {})]));
  const { id, jobs } = await bench.client.startFlow(flow);
  await flowIs(id, "failed");
  expect(await bench.ledger.findJob(jobs["sum"]!)).toMatchObject({ state: "cancelled", reason: "FLOW_FAILED" });
});
