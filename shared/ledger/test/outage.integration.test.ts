import { migrate, newId, openLedger } from "@warren/ledger";
import { createWorld, startTcpProxy, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { aJob, createTestLog, openLedgerWorld } from "./support/ledger-world.ts";

test("connections that Postgres ends while idle are replaced, and end nothing else", async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  await Promise.all(Array.from({ length: 5 }, () => ledger.ping()));
  const admin = await world.openAnother({ applicationName: "admin" });
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'warren'`,
    [],
  );
  // Each idle connection may cost one call until this process has heard of its end.
  const [result] = await waitFor(() => ledger.enqueue([aJob()]));
  expect(result?.created).toBe(true);
});

test("connections that are cut under load cost retryable errors, never a job or a double", async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  const admin = await world.openAnother({ applicationName: "admin" });
  const workerId = await world.worker();
  const ids = Array.from({ length: 300 }, () => newId());
  const codes = new Set<unknown>();
  const untilDone = async <T>(call: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        codes.add((error as { code?: unknown }).code);
      }
    }
  };
  let settledCount = 0;
  const cutting = (async () => {
    for (let cut = 0; cut < 8; cut += 1) {
      await waitFor(() => settledCount >= cut * 30, {
        what: "progress between two cuts",
        intervalMs: 1,
        timeoutMs: 20_000,
      });
      await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'warren'`,
        [],
      );
    }
  })();
  const run = async (id: string): Promise<string> => {
    await untilDone(() => ledger.enqueue([aJob({ id })]));
    // A claim whose answer was lost is in force all the same.
    await untilDone(() => ledger.claim({ workerId, ids: [id] }));
    const outcome = { kind: "succeeded", result: 1 } as const;
    const settled = await untilDone(() => ledger.settle({ id, attempt: 1, workerId, outcome }));
    settledCount += 1;
    return settled;
  };
  const lanes = await Promise.all(
    Array.from({ length: 20 }, async (_, lane) => {
      const answers: string[] = [];
      for (const id of ids.filter((_id, index) => index % 20 === lane)) answers.push(await run(id));
      return answers;
    }),
  );
  await cutting;
  const done = lanes.flat();
  expect(done.every((settled) => settled === "applied" || settled === "already")).toBe(true);
  expect(await world.states()).toEqual(Object.fromEntries(ids.map((id) => [id, "succeeded"])));
  expect([...codes]).toEqual(["LEDGER_UNAVAILABLE"]);
});

test("a half-open connection is noticed, and the next call takes another one", async () => {
  await using world = await createWorld({ leaks: "ignore" });
  const { log } = createTestLog();
  await migrate({ connectionString: world.databaseUrl, log });
  const url = new URL(world.databaseUrl);
  await using proxy = await startTcpProxy({ targetPort: Number(url.port) });
  url.port = String(proxy.port);
  await using ledger = await openLedger({
    connectionString: url.href,
    log,
    retries: 0,
    statementTimeoutMs: 200,
    connectTimeoutMs: 500,
  });
  await ledger.ping();
  proxy.blackhole();
  const startedAt = performance.now();
  await expect(ledger.ping()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
  expect(performance.now() - startedAt).toBeLessThan(9_000);
  await proxy.heal();
  await ledger.ping();
});
