import { z } from "zod";
import { type Client, chord, defineJob, handle, NonRetryableError, step } from "../../src/index.ts";

export const resize = defineJob({
  name: "images.resize",
  payload: z.object({ width: z.number() }),
  result: z.object({ bytes: z.number() }),
});
export const publishGallery = defineJob({
  name: "gallery.publish",
  payload: z.object({ gallery: z.string() }),
  result: z.object({ images: z.number(), bytes: z.number(), missing: z.array(z.string()) }),
});

export const handlers = [
  handle(resize, ({ payload }) => {
    if (payload.width > 1_000) throw new NonRetryableError("too wide");
    return { bytes: payload.width * 10 };
  }),
  handle(publishGallery, async (job) => {
    const sizes = await job.flow.parents(resize);
    const done = sizes.filter((size) => size.state === "succeeded");
    return {
      images: done.length,
      bytes: done.reduce((sum, { result }) => sum + result.bytes, 0),
      missing: sizes.filter((size) => size.state !== "succeeded").map(({ node }) => node),
    };
  }),
];

/** A group of jobs beside each other, then one that gets all their results. An image that cannot be resized is left out. */
export async function startChord(client: Client) {
  const sizes = [100, 200, 5_000].map((width) =>
    step(resize, { width }, { name: `width-${width}`, onFailure: "ignore" }),
  );
  return client.startFlow(chord("gallery", sizes, step(publishGallery, { gallery: "summer" })));
}
