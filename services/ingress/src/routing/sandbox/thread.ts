// The sandbox's thread: one engine, one transform at a time. Loaded only where a rule has a transform.
import { parentPort } from "node:worker_threads";
import variant from "@jitl/quickjs-wasmfile-release-sync";
import { newQuickJSWASMModuleFromVariant, type QuickJSSyncVariant } from "quickjs-emscripten-core";
import { failure } from "../routed.ts";
import { execute } from "./execute.ts";
import type { FromSandbox, SandboxTask } from "./protocol.ts";

const port = parentPort;
if (port === null) throw new TypeError("this file runs in a thread of its own");
// sound: its types are those of its CommonJS form, where the default is one level deeper
const quickjs = await newQuickJSWASMModuleFromVariant(variant as unknown as QuickJSSyncVariant);

/** Milliseconds of processor time of this thread: a machine that is busy with other things refuses no transform. */
function spentMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function say(message: FromSandbox): void {
  port?.postMessage(message);
}

port.on("message", (task: SandboxTask) => {
  try {
    say({ kind: "answer", answer: execute(quickjs, task, spentMs), isBroken: false });
  } catch {
    const broken = failure("ROUTE_TRANSFORM_CRASHED", "the engine did not survive it");
    const answer = { kind: "failed", failure: broken, logs: [], durationMs: 0 } as const;
    say({ kind: "answer", answer, isBroken: true });
  }
});
say({ kind: "ready" });
