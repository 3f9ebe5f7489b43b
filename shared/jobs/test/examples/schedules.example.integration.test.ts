import { readFile } from "node:fs/promises";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { openBench } from "../fixture.ts";
import { example } from "./schedules.ts";

const textOf = (file: string) => readFile(new URL(file, import.meta.url), "utf8");

test("the example of the page on schedules runs", async () => {
  await using bench = await openBench();
  const { orphans, next, id, write } = await example({ ...bench, log: bench.log.logger });
  expect(orphans).toEqual([]);
  expect(next).toHaveLength(3);
  expect(next.every((at) => at.getUTCDay() >= 1 && at.getUTCDay() <= 5)).toBe(true);
  await bench.worker([write]);
  bench.dispatch();
  const triggered = await bench.until(id, "succeeded");
  expect(triggered).toMatchObject({ schedule: "reports.nightly", result: { kind: "sales", for: expect.any(String) } });

  const pulse = await waitFor(async () => {
    await bench.ledger.schedules.fire({ limit: 10, publish: false });
    return (await bench.client.schedules.get("reports.pulse"))?.lastJobId;
  });
  const ran = await bench.until(pulse, "succeeded");
  // the second that was meant, however late the job ran
  expect(ran.result).toEqual({ kind: "pulse", for: ran.runAt.toISOString() });
  expect(ran.runAt.getTime() % 1_000).toBe(0);
});

test("the page on schedules shows the example as it runs", async () => {
  const source = await textOf("schedules.ts");
  const code = source.slice(source.indexOf("// begin\n") + "// begin\n".length, source.indexOf("  // end"));
  expect(await textOf("../../../../infra/docs/schedules.md")).toContain(code.replaceAll(/^ {2}/gm, ""));
});
