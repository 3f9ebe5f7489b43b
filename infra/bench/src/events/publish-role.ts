import { createClient } from "@warren/jobs";
import { nowNs, payloadOf } from "../jobs/definitions.ts";
import { openParts } from "../jobs/parts.ts";
import { serveRole } from "../role.ts";
import { measured } from "./definitions.ts";

const { ledger, session, log, metrics } = await openParts("bench-publish");
const client = createClient({ ledger, publisher: session.publisher(), log, metrics, source: "/bench" });

/** Events one by one, each awaited to its confirm, `window` of them in flight: as many as the raw publisher has. */
async function publish(count: number, bytes: number, window: number): Promise<object> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await client.publish(measured, payloadOf(next++, bytes));
  };
  await Promise.all(Array.from({ length: window }, lane));
  return { published: count };
}

/** Open loop: events leave on schedule, however long the earlier ones take. */
async function paced(count: number, perSecond: number, bytes: number): Promise<object> {
  const startedAt = nowNs();
  const calls: Promise<unknown>[] = [];
  for (let sent = 0; sent < count; sent++) {
    const aheadMs = (sent * 1000) / perSecond - Number(nowNs() - startedAt) / 1e6;
    if (aheadMs > 0.5) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    calls.push(client.publish(measured, payloadOf(sent, bytes)));
  }
  await Promise.all(calls);
  return { published: count };
}

serveRole(async (command) => {
  const count = Number(command["count"]);
  const bytes = Number(command["bytes"]);
  switch (command.do) {
    case "publish":
      return publish(count, bytes, Number(command["window"]));
    case "paced":
      return paced(count, Number(command["perSecond"]), bytes);
    default:
      throw new Error(`unknown command ${command.do}`);
  }
});
