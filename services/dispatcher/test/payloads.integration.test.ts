import { mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, createPayloadStore, defineJob } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { dispatcherConfig } from "../src/config.ts";
import { openBench } from "./fixture.ts";

const big = defineJob({ name: "big", payload: z.object({ text: z.string() }), offloadAboveBytes: 10 });

test("a dispatcher with a payload store sweeps what no job refers to", async () => {
  const directory = mkdtempSync(join(tmpdir(), "warren-dispatcher-"));
  await using bench = await openBench();
  const store = createPayloadStore({ kind: "file", directory });
  const { ledger, log, metrics } = bench;
  await using client = createClient({ ledger, log, metrics, payloads: { store } });
  await client.enqueue(big, { text: "kept and waiting" }, { delayMs: 3_600_000, id: "one" });
  await client.enqueue(big, { text: "known, so never a job" }, { id: "one" });
  const files = (): readonly string[] =>
    readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => path.includes(".payload."));
  for (const path of files()) utimesSync(join(directory, path), new Date(0), new Date(0));
  expect(files()).toHaveLength(2);
  const config = dispatcherConfig.parse({ WARREN_POLL_MS: 10, WARREN_PAYLOAD_STORE: `file://${directory}` });
  await bench.dispatcher({ config });
  const counted = /^warren_payload_objects_swept_total 1$/m;
  await waitFor(async () => counted.test(await metrics.text()), { what: "the orphan to be swept and counted" });
  expect(files()).toHaveLength(1);
  rmSync(directory, { recursive: true });
});
