import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@warren/jobs";
import { serveRole } from "../role.ts";
import { alone, bundled, nowNs, payloadOf } from "./definitions.ts";
import { openParts } from "./parts.ts";

const { ledger, session, log, metrics } = await openParts("bench-enqueue");
const client = createClient({ ledger, publisher: session.publisher(), log, metrics });

/** `enqueueMany` of `chunk` jobs, two calls in flight. */
async function bulk(count: number, chunk: number, bytes: number, definition: typeof alone): Promise<object> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next = Math.min(count, next + chunk);
      const items = Array.from({ length: next - from }, (_, index) => ({ payload: payloadOf(from + index, bytes) }));
      await client.enqueueMany(definition, items);
    }
  };
  await Promise.all([lane(), lane()]);
  return { enqueued: count };
}

/** `enqueue` one by one, `parallel` calls in flight. */
async function single(count: number, parallel: number, bytes: number): Promise<object> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await client.enqueue(alone, payloadOf(next++, bytes));
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  return { enqueued: count };
}

/** Open loop: jobs leave on schedule, however long the earlier ones take. */
async function paced(count: number, perSecond: number, bytes: number): Promise<object> {
  const startedAt = nowNs();
  const waits: number[] = [];
  const calls: Promise<unknown>[] = [];
  for (let sent = 0; sent < count; sent++) {
    const aheadMs = (sent * 1000) / perSecond - Number(nowNs() - startedAt) / 1e6;
    if (aheadMs > 0.5) await sleep(aheadMs);
    const before = nowNs();
    const call = client.enqueue(alone, payloadOf(sent, bytes));
    calls.push(call.then(() => waits.push(Number(nowNs() - before) / 1e6)));
  }
  await Promise.all(calls);
  return { enqueued: count, enqueueMs: waits };
}

serveRole(async (command) => {
  const count = Number(command["count"]);
  const bytes = Number(command["bytes"]);
  switch (command.do) {
    case "open":
      return {};
    case "bulk":
      return bulk(count, Number(command["chunk"]), bytes, command["bundles"] === true ? bundled : alone);
    case "single":
      return single(count, Number(command["parallel"]), bytes);
    case "paced":
      return paced(count, Number(command["perSecond"]), bytes);
    default:
      throw new Error(`unknown command ${command.do}`);
  }
});
