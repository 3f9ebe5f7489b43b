import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { serveRole } from "../role.ts";
import { percentile } from "../statistics.ts";
import { Connection } from "./connection.ts";
import { type Requests, stripeRequests } from "./stripe-event.ts";

/** What a load came to. Times from the moment at which a request was due, to its whole answer. */
export interface Load {
  readonly sent: number;
  /** Answered 2xx. */
  readonly taken: number;
  readonly refused: number;
  readonly broken: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

interface Tally {
  readonly times: number[];
  taken: number;
  refused: number;
  broken: number;
}

const newTally = (): Tally => ({ times: [], taken: 0, refused: 0, broken: 0 });

function note(tally: Tally, status: number, dueAt: number): void {
  tally.times.push(performance.now() - dueAt);
  if (status >= 200 && status < 300) tally.taken += 1;
  else if (status === 0) tally.broken += 1;
  else tally.refused += 1;
}

function summary({ times, ...counts }: Tally, seconds: number): Load {
  const at = (share: number): number => (times.length === 0 ? 0 : Math.round(percentile(times, share) * 100) / 100);
  return {
    sent: times.length,
    ...counts,
    seconds,
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: at(1),
  };
}

/** Ids that no other load of this process has. `sameId`: all are the same event. */
function numbered(requests: Requests, runId: string, sameId: boolean): () => Buffer {
  let number = 0;
  return () => {
    number += 1;
    return requests.next(`${runId}-${sameId ? 0 : number}`);
  };
}

/** Each connection sends its next request when it has the answer to the last: finds the peak, and says little of waiting. */
async function closed(
  port: number,
  connections: number,
  next: () => Buffer,
  goesOn: (sent: number) => boolean,
): Promise<Load> {
  const tally = newTally();
  let sent = 0;
  const beganAt = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      let connection = new Connection(port);
      while (goesOn(sent)) {
        sent += 1;
        const request = next();
        const at = performance.now();
        const status = await connection.ask(request);
        note(tally, status, at);
        if (status === 0) connection = new Connection(port);
      }
      connection.close();
    }),
  );
  return summary(tally, (performance.now() - beganAt) / 1000);
}

/**
 * Requests are due at fixed moments, whatever became of those before. One that finds no connection free waits, and its waiting counts: so a
 * server that stands still for a second is seen to hold up all that was due in it (no coordinated omission).
 */
async function open(
  port: number,
  connections: number,
  perSecond: number,
  seconds: number,
  next: () => Buffer,
): Promise<Load> {
  const tally = newTally();
  const free = Array.from({ length: connections }, () => new Connection(port));
  const waiting: number[] = [];
  const total = Math.max(1, Math.round(perSecond * seconds));
  const { promise: done, resolve } = Promise.withResolvers<void>();

  const send = async (connection: Connection, dueAt: number): Promise<void> => {
    const status = await connection.ask(next());
    note(tally, status, dueAt);
    if (tally.times.length === total) resolve();
    const left = status === 0 ? new Connection(port) : connection;
    const nextDue = waiting.shift();
    if (nextDue === undefined) free.push(left);
    else void send(left, nextDue);
  };

  const beganAt = performance.now();
  for (let due = 0; due < total; ) {
    const now = performance.now();
    for (; due < total && beganAt + (due * 1000) / perSecond <= now; due += 1) {
      const dueAt = beganAt + (due * 1000) / perSecond;
      const connection = free.pop();
      if (connection === undefined) waiting.push(dueAt);
      else void send(connection, dueAt);
    }
    await sleep(1);
  }
  await Promise.race([done, sleep(60_000, undefined, { ref: false })]);
  for (const connection of free) connection.close();
  return summary(tally, (performance.now() - beganAt) / 1000);
}

let slow: Socket[] = [];

/** Connections that have said the half of a request, and no more. */
async function openSlow(port: number, count: number): Promise<void> {
  const half =
    "POST /webhooks/stripe HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 2048\r\n\r\n{";
  while (slow.length < count) {
    const some = Array.from({ length: Math.min(100, count - slow.length) }, () => connect(port, "127.0.0.1"));
    for (const socket of some) socket.on("error", () => undefined).resume();
    await Promise.all(some.map((socket) => once(socket, "connect")));
    for (const socket of some) socket.write(half);
    slow.push(...some);
  }
}

serveRole(async (command) => {
  const number = (name: string): number => Number(command[name]);
  const port = number("port");
  if (command.do === "slow") {
    await openSlow(port, number("count"));
    return { open: slow.filter(({ destroyed }) => !destroyed).length };
  }
  if (command.do === "slow-end") {
    for (const socket of slow) socket.destroy();
    slow = [];
    return {};
  }
  const requests = stripeRequests("/webhooks/stripe", String(command["secret"]), number("bodyBytes"));
  const next = numbered(requests, String(command["runId"]), command["sameId"] === true);
  if (command.do === "closed") {
    const until = performance.now() + number("seconds") * 1000;
    return closed(port, number("connections"), next, () => performance.now() < until);
  }
  if (command.do === "burst") return closed(port, number("connections"), next, (sent) => sent < number("count"));
  if (command.do === "open") return open(port, number("connections"), number("perSecond"), number("seconds"), next);
  throw new Error(`unknown command ${command.do}`);
});
