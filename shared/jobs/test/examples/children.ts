import { z } from "zod";
import { type Client, chain, defineJob, handle, step } from "../../src/index.ts";

export const crawl = defineJob({
  name: "site.crawl",
  payload: z.object({ pages: z.array(z.string()) }),
  result: z.object({ words: z.number() }),
});
export const readPage = defineJob({
  name: "page.read",
  payload: z.object({ path: z.string() }),
  result: z.object({ words: z.number() }),
});
export const index = defineJob({ name: "site.index", payload: z.object({}), result: z.object({ words: z.number() }) });

export const handlers = [
  handle(crawl, async (job) => {
    // a second attempt adds nothing twice: the names are the same
    for (const path of job.payload.pages) await job.flow.add(readPage, { path });
    // gives its slot back, and runs again when all are read
    const pages = await job.flow.waitForChildren(readPage);
    return { words: pages.reduce((sum, page) => sum + (page.state === "succeeded" ? page.result.words : 0), 0) };
  }),
  handle(readPage, ({ payload }) => ({ words: payload.path.length })),
  handle(index, (job) => job.flow.resultOf("site.crawl", crawl)),
];

/** A job that finds out at run time what there is to do. */
export async function startCrawl(client: Client) {
  return client.startFlow(chain("crawl", [step(crawl, { pages: ["/", "/a", "/bc"] }), step(index, {})]));
}
