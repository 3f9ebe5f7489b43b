import type { QuickJSContext, QuickJSHandle, QuickJSRuntime, QuickJSWASMModule } from "quickjs-emscripten-core";
import { failure, type RouteFailure } from "../routed.ts";
import type { SandboxAnswer, SandboxTask } from "./protocol.ts";

const mebibyte = 1_048_576;
const maxStackBytes = 262_144;
const maxOutputLength = mebibyte;
const maxLogLines = 50;
const maxLogLength = 500;

/**
 * Takes the means of JSON before the transform's code can change them, and answers JSON text, `null` for nothing, or `undefined` for what
 * JSON has no word for.
 */
const driver = `(() => {
  const { parse, stringify } = JSON;
  return (input, transform) => {
    const output = transform(parse(input));
    if (output === undefined || output === null) return null;
    if (typeof output.then === "function") throw new TypeError("transform returned a promise: make it a plain function");
    return stringify(output);
  };
})()`;

const pickTransform = `typeof transform === "function" ? transform : undefined`;

/**
 * Runs a transform in a JavaScript engine of its own inside WebAssembly: it has what the language has and nothing of ours, and loses it all
 * afterwards. Its time is checked as it runs, its memory as it asks for it. Throws only when the engine itself broke.
 */
export function execute(quickjs: QuickJSWASMModule, task: SandboxTask, clock: () => number): SandboxAnswer {
  const startedAt = clock();
  const logs: string[] = [];
  let isLate = false;
  using runtime: QuickJSRuntime = quickjs.newRuntime();
  runtime.setMemoryLimit(task.memoryMb * mebibyte);
  runtime.setMaxStackSize(maxStackBytes);
  runtime.setInterruptHandler(() => {
    isLate ||= clock() - startedAt > task.timeoutMs;
    return isLate;
  });
  using context = runtime.newContext();
  const report = () => ({ logs, durationMs: clock() - startedAt });
  const outcome = transformIn(context, task, logs, () => isLate);
  return "failure" in outcome
    ? { kind: "failed", failure: outcome.failure, ...report() }
    : { kind: "returned", output: outcome.output, ...report() };
}

type Outcome = { readonly output: string | undefined } | { readonly failure: RouteFailure };

function transformIn(context: QuickJSContext, task: SandboxTask, logs: string[], isLate: () => boolean): Outcome {
  const isCheck = task.input === undefined;
  const evaluate = (code: string, file: string): QuickJSHandle | RouteFailure => {
    const result = context.evalCode(code, file);
    if (result.error === undefined) return result.value;
    return whyFailed(context, result.error, isLate, isCheck ? "ROUTE_TRANSFORM_INVALID" : "ROUTE_TRANSFORM_FAILED");
  };
  giveConsole(context, logs);
  const run = evaluate(driver, "driver.js");
  if ("code" in run) return { failure: run };
  using runner = run;
  const loaded = evaluate(task.code, "transform.js");
  if ("code" in loaded) return { failure: loaded };
  loaded.dispose();
  const picked = evaluate(pickTransform, "driver.js");
  if ("code" in picked) return { failure: picked };
  using transform = picked;
  if (context.typeof(transform) !== "function") {
    return { failure: failure("ROUTE_TRANSFORM_INVALID", "there is no function transform(event) at the top level") };
  }
  if (task.input === undefined) return { output: undefined };

  using input = context.newString(task.input);
  const result = context.callFunction(runner, context.undefined, input, transform);
  if (result.error !== undefined)
    return { failure: whyFailed(context, result.error, isLate, "ROUTE_TRANSFORM_FAILED") };
  using output = result.value;
  return read(context, output);
}

function read(context: QuickJSContext, output: QuickJSHandle): Outcome {
  const type = context.typeof(output);
  // `null` is an object to `typeof`
  if (type === "object") return { output: undefined };
  if (type !== "string") {
    return { failure: failure("ROUTE_TRANSFORM_OUTPUT_INVALID", "transform returned a function or a symbol") };
  }
  using length = context.getProp(output, "length");
  if (context.getNumber(length) > maxOutputLength) {
    return { failure: failure("ROUTE_TRANSFORM_OUTPUT_INVALID", "transform returned more than 1 MiB") };
  }
  return { output: context.getString(output) };
}

function giveConsole(context: QuickJSContext, logs: string[]): void {
  using log = context.newFunction("log", (...parts) => {
    if (logs.length >= maxLogLines) return;
    const texts = parts.map((part) => {
      const value: unknown = context.dump(part);
      return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
    });
    logs.push(texts.join(" ").slice(0, maxLogLength).toWellFormed());
  });
  using console = context.newObject();
  for (const name of ["log", "info", "warn", "error"]) context.setProp(console, name, log);
  context.setProp(context.global, "console", console);
}

type Code = Parameters<typeof failure>[0];

function whyFailed(
  context: QuickJSContext,
  error: QuickJSHandle,
  isLate: () => boolean,
  otherwise: Code,
): RouteFailure {
  using thrown = error;
  // looking at it may run more of the transform's code
  const value: unknown = isLate() ? undefined : context.dump(thrown);
  if (isLate()) return failure("ROUTE_TRANSFORM_TIMEOUT", "it took longer than its timeoutMs");
  // out of memory, there is often none left for the error either
  if (value === null || value === undefined) return failure("ROUTE_TRANSFORM_OUT_OF_MEMORY", "out of memory");
  const { name, message, stack } = typeof value === "object" ? (value as Partial<Error>) : {};
  const text = message === undefined ? (JSON.stringify(value) ?? "it threw") : `${name ?? "Error"}: ${message}`;
  if (name === "InternalError" && /out of memory|stack overflow/i.test(message ?? "")) {
    return failure("ROUTE_TRANSFORM_OUT_OF_MEMORY", text);
  }
  if (name === "RangeError" && /call stack/i.test(message ?? "")) return failure("ROUTE_TRANSFORM_OUT_OF_MEMORY", text);
  const [, line] = /transform\.js:(\d+)/.exec(stack ?? "") ?? [];
  return failure(otherwise, line === undefined ? text : `${text} (line ${line})`);
}
