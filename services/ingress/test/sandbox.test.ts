import { createLogger } from "@warren/observability";
import { afterAll, describe, expect, test } from "vitest";
import { createSandbox } from "../src/routing/sandbox/sandbox.ts";

const sandbox = createSandbox({ log: createLogger({ service: "sandbox-test", level: "silent" }) });
afterAll(() => sandbox[Symbol.asyncDispose]());

async function run(code: string, input: unknown = {}, limits: { timeoutMs?: number; memoryMb?: number } = {}) {
  const task = { code, input: JSON.stringify(input), timeoutMs: 30_000, memoryMb: 16, ...limits };
  const answer = await sandbox.run(task);
  if (answer.kind === "failed") return answer.failure;
  return answer.output === undefined ? undefined : (JSON.parse(answer.output) as unknown);
}

const check = (code: string) => sandbox.run({ code, input: undefined, timeoutMs: 30_000, memoryMb: 8 });

describe("a transform", () => {
  test("makes JSON of the event", async () => {
    const code =
      "const tax = 1.2; function transform({ body }) { return { total: body.net * tax, name: `${body.name}!` }; }";
    expect(await run(code, { body: { net: 10, name: "grüße \u0000 😀" } })).toEqual({
      total: 12,
      name: "grüße \u0000 😀!",
    });
    expect(await run("const transform = () => [1, null]")).toEqual([1, null]);
  });

  test("makes nothing by returning null or nothing", async () => {
    expect(await run("function transform() { return null; }")).toBeUndefined();
    expect(await run("function transform() {}")).toBeUndefined();
    expect(await run("function transform() { return 0; }")).toBe(0);
  });

  test.for([
    {
      what: "throws",
      code: "function transform(e) {\n\n return e.body.a.b; }",
      is: "ROUTE_TRANSFORM_FAILED",
      says: "line 3",
    },
    { what: "throws no error", code: "function transform() { throw 'x'; }", is: "ROUTE_TRANSFORM_FAILED", says: "x" },
    { what: "loops", code: "function transform() { for (;;); }", is: "ROUTE_TRANSFORM_TIMEOUT" },
    { what: "loops before it is called", code: "for (;;);", is: "ROUTE_TRANSFORM_TIMEOUT" },
    {
      what: "backtracks",
      code: "function transform() { return /^(a+)+$/.test('a'.repeat(40) + 'b'); }",
      is: "ROUTE_TRANSFORM_TIMEOUT",
    },
    {
      what: "takes all memory",
      code: "function transform() { const all = []; for (;;) all.push({ at: all.length }); }",
      is: "ROUTE_TRANSFORM_OUT_OF_MEMORY",
    },
    {
      what: "lets the engine work without looking at its clock",
      code: "function transform() { const all = []; for (;;) all.push('x'.repeat(100000) + all.length); }",
      is: "ROUTE_TRANSFORM_TIMEOUT",
    },
    {
      what: "calls itself for ever",
      code: "function transform(e) { return transform(e) + 1; }",
      is: "ROUTE_TRANSFORM_OUT_OF_MEMORY",
    },
    {
      what: "returns a promise",
      code: "async function transform() { return 1; }",
      is: "ROUTE_TRANSFORM_FAILED",
      says: "promise",
    },
    {
      what: "returns a function",
      code: "function transform() { return transform; }",
      is: "ROUTE_TRANSFORM_OUTPUT_INVALID",
    },
    {
      what: "returns too much",
      code: "function transform() { return 'x'.repeat(2000000); }",
      is: "ROUTE_TRANSFORM_OUTPUT_INVALID",
    },
    {
      what: "returns a cycle",
      code: "function transform() { const a = {}; a.a = a; return a; }",
      is: "ROUTE_TRANSFORM_FAILED",
    },
    {
      what: "breaks the engine",
      code: "function transform() { return eval('('.repeat(50000) + '1' + ')'.repeat(50000)); }",
      is: "ROUTE_TRANSFORM_CRASHED",
    },
    {
      what: "throws what loops when it is looked at",
      code: "function transform() { throw { get message() { for (;;); } }; }",
      is: "ROUTE_TRANSFORM_TIMEOUT",
    },
    { what: "is no JavaScript", code: "function transform( {", is: "ROUTE_TRANSFORM_FAILED" },
    { what: "defines no function", code: "const x = 1", is: "ROUTE_TRANSFORM_INVALID" },
  ])("that $what is $is", async ({ code, is, says = "" }) => {
    const timeoutMs = is === "ROUTE_TRANSFORM_TIMEOUT" ? 50 : 30_000;
    const failure = await run(code, {}, { memoryMb: 8, timeoutMs });
    expect(failure).toMatchObject({ code: is });
    expect(failure).toMatchObject({ message: expect.stringContaining(says) as string });
    expect(await run("function transform() { return 'well'; }")).toBe("well");
  });

  test("finds nothing of ours: no process, files, network, timers, or memory of the event before", async () => {
    const names = ["process", "require", "fetch", "setTimeout", "Buffer", "WebAssembly", "std", "os"];
    const code = `function transform() { return ${JSON.stringify(names)}.filter((name) => globalThis[name] !== undefined); }`;
    expect(await run(code)).toEqual([]);
    await run("globalThis.left = 1; Object.prototype.left = 1; JSON.stringify = () => 'x'; function transform() {}");
    expect(await run("function transform(e) { return [typeof left, e.left ?? null]; }")).toEqual(["undefined", null]);
    expect(
      await run("JSON.stringify = () => '}'; JSON.parse = () => 7; function transform(e) { return e; }", { a: 1 }),
    ).toEqual({ a: 1 });
    expect(await run("function transform() { return import('node:fs').then(() => 1); }")).toMatchObject({
      code: "ROUTE_TRANSFORM_FAILED",
    });
  });

  test("writes a bounded log", async () => {
    const code =
      "function transform(e) { for (let i = 0; i < 99; i++) console.log(i, { e }, 'x'.repeat(9999)); return 1; }";
    const answer = await sandbox.run({ code, input: '{"a":1}', timeoutMs: 30_000, memoryMb: 16 });
    expect(answer.logs).toHaveLength(50);
    expect(answer.logs[3]).toMatch(/^3 \{"e":\{"a":1\}\} x{10}/);
    expect(answer.logs[3]).toHaveLength(500);
  });

  test("can be looked at without an event", async () => {
    expect(await check("function transform(e) { return e.nothing.there; }")).toMatchObject({ kind: "returned" });
    expect(await check("function transform(e) {\n return ; }}")).toMatchObject({
      failure: { code: "ROUTE_TRANSFORM_INVALID", message: expect.stringContaining("line 2") as string },
    });
    expect(await check("notThere()")).toMatchObject({ failure: { code: "ROUTE_TRANSFORM_INVALID" } });
  });
});

describe("a sandbox", () => {
  const log = createLogger({ service: "sandbox-test", level: "silent" });

  test("answers each of many transforms with its own", async () => {
    await using roomy = createSandbox({ log, maxWaiting: 3, maxWaitMs: 60_000 });
    const echo = { code: "function transform(e) { return e; }", timeoutMs: 30_000, memoryMb: 8 };
    const many = await Promise.all([1, 2, 3].map((n) => roomy.run({ ...echo, input: String(n) })));
    expect(many.map((answer) => answer.kind === "returned" && answer.output)).toEqual(["1", "2", "3"]);
  });

  test("refuses those that cannot have a turn in time", async () => {
    await using busy = createSandbox({ log, maxWaiting: 3, maxWaitMs: 20 });
    const slow = { code: "function transform() { for (;;); }", input: "{}", timeoutMs: 60, memoryMb: 8 };
    const quick = { ...slow, code: "function transform(e) { return e; }", input: "1", timeoutMs: 30_000 };
    await busy.run(quick);
    const answers = await Promise.all([slow, quick, quick, quick, quick].map((task) => busy.run(task)));
    expect(answers.map((answer) => (answer.kind === "failed" ? answer.failure.code : answer.output))).toEqual([
      "ROUTE_TRANSFORM_TIMEOUT",
      "ROUTE_TRANSFORM_OVERLOADED",
      "ROUTE_TRANSFORM_OVERLOADED",
      "ROUTE_TRANSFORM_OVERLOADED",
      "ROUTE_TRANSFORM_OVERLOADED",
    ]);
    expect(await busy.run(quick)).toMatchObject({ kind: "returned" });
  });
});
