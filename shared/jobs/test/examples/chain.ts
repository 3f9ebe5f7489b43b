import { z } from "zod";
import { type Client, chain, defineJob, handle, step } from "../../src/index.ts";

export const download = defineJob({
  name: "files.download",
  payload: z.object({ url: z.url() }),
  result: z.object({ bytes: z.number() }),
});
export const report = defineJob({
  name: "files.report",
  payload: z.object({ to: z.string() }),
  result: z.object({ text: z.string() }),
});

export const handlers = [
  handle(download, ({ payload }) => ({ bytes: payload.url.length })),
  handle(report, async (job) => {
    const { bytes } = await job.flow.resultOf("files.download", download);
    return { text: `${job.payload.to}: ${bytes} bytes` };
  }),
];

/** One job after the other; the second reads what the first returned. */
export async function startChain(client: Client) {
  const flow = chain("download-and-report", [
    step(download, { url: "https://example.com/a.csv" }),
    step(report, { to: "anna" }, { delayMs: 10 }),
  ]);
  return client.startFlow(flow, { id: "upload-17" });
}
