import { eventQueue } from "@warren/amqp";
import { createSubscriber, subscribe } from "@warren/jobs";
import { nowNs } from "../jobs/definitions.ts";
import { openParts } from "../jobs/parts.ts";
import { serveRole } from "../role.ts";
import { measured, subscription } from "./definitions.ts";

const { ledger, session, log, metrics } = await openParts("bench-subscribe");
let seen = new Set<number>();
let runs = 0;
let delaysMs: number[] = [];
let expected = Number.POSITIVE_INFINITY;
let allSeen: () => void = () => undefined;

const subscriber = createSubscriber({
  session,
  ledger,
  log,
  metrics,
  subscriptions: [
    subscribe(measured, subscription, ({ data }) => {
      runs += 1;
      seen.add(data.number);
      delaysMs.push(Number(nowNs() - BigInt(data.sentAtNs)) / 1e6);
      if (seen.size >= expected) allSeen();
    }),
  ],
});

/** Waits until every number was handled, and the queue is empty. */
async function expectEvents(count: number): Promise<object> {
  expected = count;
  if (seen.size < count) {
    await new Promise<void>((resolve) => {
      allSeen = resolve;
    });
  }
  const left = await session.depth(eventQueue(subscription.service, subscription.name));
  return { unique: seen.size, duplicates: runs - seen.size, left: left?.messages ?? 0, delaysMs };
}

serveRole(async (command) => {
  switch (command.do) {
    case "start":
      await subscriber.start();
      return {};
    case "reset":
      seen = new Set();
      runs = 0;
      delaysMs = [];
      expected = Number.POSITIVE_INFINITY;
      return {};
    case "expect":
      return expectEvents(Number(command["count"]));
    default:
      throw new Error(`unknown command ${command.do}`);
  }
});
