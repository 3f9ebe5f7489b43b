import { expect, test } from "vitest";
import { createControl } from "../../src/index.ts";
import { openBench } from "../fixture.ts";
import { handleImport, importedWithin, importRows } from "./control.ts";

test("an import is waited for from another process, and cancelled when it takes too long", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  await bench.worker([handleImport]);
  const short = await bench.client.enqueue(importRows, { rows: 3 });
  expect(await importedWithin(control, short.id, 20_000)).toEqual({ imported: 3 });
  expect(await control.job(short.id)).toMatchObject({ progress: { value: { row: 3, of: 3 } } });
  expect((await control.lines(short.id)).lines).toMatchObject([{ text: "imported 3 rows" }]);

  const long = await bench.client.enqueue(importRows, { rows: 100_000 });
  await bench.until(long.id, "running");
  await expect(importedWithin(control, long.id, 200)).rejects.toMatchObject({ code: "JOB_WAIT_TIMEOUT" });
  expect(await bench.until(long.id, "cancelled")).toMatchObject({
    cancelledBy: "importedWithin",
    reason: "took too long",
  });
});
