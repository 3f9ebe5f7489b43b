import { migrate, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { expect, test } from "vitest";
import { databaseOf, shell } from "./shell.ts";

const log = createLogger({ service: "test", level: "silent" });
const workerId = "01890000-0000-7000-8000-000000000001";

async function run(world: World, ...args: readonly string[]) {
  const { exitCode, stdout, stderr } = await shell({ environment: databaseOf(world) }, args);
  return { exitCode, said: stdout + stderr };
}

const of = (queue: string, delayMs = 0) => ({
  queue,
  name: "demo",
  version: 1,
  payload: {},
  maxAttempts: 3,
  maxStalls: 3,
  correlationId: "c",
  sendBy: "dispatcher" as const,
  delayMs,
});

test("queues are shown with what waits in them and who works on them, and one that nobody serves is unhealthy", async () => {
  await using world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  await using ledger = await openLedger({
    connectionString: world.databaseUrl,
    schema: world.schema,
    log,
    poolSize: 2,
  });
  expect(await run(world, "queue", "list")).toEqual({
    exitCode: 0,
    said: "no worker, and no job that waits, runs or died\n",
  });
  expect(await run(world, "worker")).toEqual({ exitCode: 0, said: "no worker runs\n" });

  const [first] = await ledger.enqueue([of("mails"), of("mails"), of("mails", 60_000), of("lonely")]);
  const worker = { id: workerId, host: "here", pid: 7, version: "1.2.3", queues: ["mails", "idle"], concurrency: 20 };
  await ledger.registerWorker(worker);
  await ledger.claim({ workerId, ids: [first?.id ?? ""] });

  const seen = JSON.parse((await run(world, "queue", "--json")).said) as { queues: readonly { queue: string }[] };
  expect(seen).toMatchObject({ isExact: true, isFailedCapped: false });
  expect(seen.queues).toEqual([
    { queue: "idle", state: "ok", ready: 0, oldestMs: null, running: 0, later: 0, dead: 0, workers: 1, places: 20 },
    expect.objectContaining({
      queue: "lonely",
      state: "no worker",
      ready: 1,
      oldestMs: expect.any(Number),
      workers: 0,
    }),
    expect.objectContaining({ queue: "mails", state: "ok", ready: 1, running: 1, later: 1, workers: 1, places: 20 }),
  ]);
  expect(await run(world, "queue")).toMatchObject({
    exitCode: 3,
    said: expect.stringMatching(/^lonely\tno worker\t1\t\d+ s\t0\t0\t0\t0\t0$/m),
  });
  expect((await run(world, "worker")).said).toMatch(
    new RegExp(`^${workerId}\\there\\t7\\t1\\.2\\.3\\tmails, idle\\t1 of 20\\t\\d{4}-.*Z\\t\\d+ s ago$`, "m"),
  );

  // a paused queue holds its jobs on purpose, and tells for how long
  expect((await run(world, "limits", "pause", "lonely")).said).toBe("lonely: paused; what runs, runs on\n");
  expect(await run(world, "queue")).toMatchObject({
    exitCode: 0,
    said: expect.stringMatching(/^lonely\tpaused\t1\t\d+ s\t/m),
  });
  expect((await run(world, "limits", "pause", "mailz")).said).toBe(
    "mailz: paused; what runs, runs on\nnote: no worker serves mailz, and no job is ready in it; did you mean mails?\n",
  );
  expect(await run(world, "limits", "set", "mails")).toMatchObject({
    exitCode: 2,
    said: expect.stringContaining("name a limit to change"),
  });
});
