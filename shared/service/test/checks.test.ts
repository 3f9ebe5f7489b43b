import type { ConnectionState, TopologyState } from "@warren/amqp";
import { describe, expect, test } from "vitest";
import { amqpCheck, type BrokerNeed, topologyCheck } from "../src/checks.ts";

const since = new Date("2026-11-22T10:00:00Z");
const connected: ConnectionState = { kind: "connected", since };
const connecting: ConnectionState = { kind: "connecting", since, error: "ECONNREFUSED" };
const blocked: ConnectionState = { kind: "blocked", since, reason: "low on memory" };
const signal = new AbortController().signal;

describe("the broker's health", () => {
  test.for<{ publish: ConnectionState; consume: ConnectionState; need: BrokerNeed; status: string }>([
    { publish: connected, consume: connected, need: "required", status: "ok" },
    { publish: connecting, consume: connected, need: "required", status: "failing" },
    { publish: connected, consume: connecting, need: "required", status: "failing" },
    { publish: connecting, consume: connecting, need: "optional", status: "degraded" },
    { publish: blocked, consume: connected, need: "required", status: "degraded" },
    { publish: blocked, consume: connecting, need: "required", status: "failing" },
    { publish: { kind: "closed" }, consume: connected, need: "optional", status: "failing" },
  ])(
    "with publish $publish.kind, consume $consume.kind and the broker $need is $status",
    async ({ publish, consume, need, status }) => {
      const check = amqpCheck({ state: () => ({ publish, consume, topology: { kind: "asserted" } }) }, need);
      expect((await check(signal)).status).toBe(status);
    },
  );
});

describe("the topology's health", () => {
  test.for<{ topology: TopologyState; need: BrokerNeed; status: string }>([
    { topology: { kind: "asserted" }, need: "required", status: "ok" },
    { topology: { kind: "pending" }, need: "required", status: "failing" },
    { topology: { kind: "pending", error: "no rights" }, need: "optional", status: "degraded" },
  ])("$topology.kind and the broker $need is $status", async ({ topology, need, status }) => {
    expect((await topologyCheck({ state: () => ({ topology }) }, need)(signal)).status).toBe(status);
  });
});
