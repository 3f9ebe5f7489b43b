import { z } from "zod";
import { sourceName } from "./webhooks.ts";

/** A source of webhooks as the management API shows it; never its secrets. */
export const sourceView = z
  .object({
    name: sourceName,
    provider: z.string().describe("one of infra/docs/providers.md"),
    origin: z
      .enum(["environment", "api"])
      .describe("`environment`: configured by variables or file, changed there only"),
    enabled: z.boolean(),
    path: z.string().describe("where its webhooks are taken, such as /webhooks/shop-eu"),
    methods: z.array(z.string()),
    contentTypes: z.array(z.string()),
    maxBodyBytes: z.int(),
    secrets: z.array(
      z.object({
        notBefore: z.iso.datetime().nullable(),
        notAfter: z.iso.datetime().nullable(),
      }),
    ),
  })
  .meta({ id: "Source" });

export type SourceView = z.infer<typeof sourceView>;
