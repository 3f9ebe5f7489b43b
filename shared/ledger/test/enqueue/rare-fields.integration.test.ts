import { newId } from "@warren/ledger";
import { expect, test } from "vitest";
import { aJob, openLedgerWorld } from "../support/ledger-world.ts";

const rare = {
  limitKey: "tenant-1",
  linked: true,
  flowId: newId(),
  uniqueKey: "one",
  schedule: "nightly",
  payloadForm: "test",
  attributes: { order: "17", paid: true },
} as const;

test("what only some jobs have is claimed with them and outlives them, beside plain jobs of the same call", async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  const workerId = await world.worker();
  const [special, plain] = await ledger.enqueue([aJob(rare), aJob()]);
  const ids = [special!.id, plain!.id];

  const claimed = await ledger.claim({ workerId, ids });
  expect(claimed.find(({ id }) => id === special!.id)?.rare).toEqual(rare);
  expect(claimed.find(({ id }) => id === plain!.id)?.rare).toEqual({});

  // the plain settlement passes a linked job by; it must find its way all the same
  for (const id of ids) {
    const settlement = { id, attempt: 1, workerId, outcome: { kind: "succeeded", result: 1 } } as const;
    expect(await ledger.settle(settlement)).toBe("applied");
    expect(await ledger.settle(settlement)).toBe("already");
    expect(await ledger.settle({ ...settlement, linked: true })).toBe("already");
    expect(await ledger.settle({ ...settlement, attempt: 2 })).toBe("fenced");
  }
  expect(await ledger.findJob(special!.id)).toMatchObject({
    state: "succeeded",
    limitKey: "tenant-1",
    flowId: rare.flowId,
    schedule: "nightly",
    attributes: rare.attributes,
  });
});

test("a blocked job is neither claimed nor taken as due", async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  const workerId = await world.worker();
  const [blocked] = await ledger.enqueue([aJob({ blocked: true })]);
  expect(blocked!.state).toBe("blocked");
  expect(await ledger.claim({ workerId, ids: [blocked!.id] })).toEqual([]);
  expect(await ledger.takeDue({ limit: 10 })).toEqual([]);
  expect(await ledger.takeUnsent({ limit: 10 })).toEqual([]);
  expect(await ledger.cancel(blocked!.id, "test")).toEqual({ kind: "cancelled" });
});
