import { sourceName, sourceTraits } from "@warren/contracts";
import { z } from "zod";
import { type ProviderName, providerExpected, providerNames } from "./providers.ts";

const moment = z.iso.datetime({ offset: true, error: 'expected a time such as "2026-11-01T00:00:00Z"' });

/** A secret: its text, or where to read it. Give a new and an old one overlapping times to rotate without refusing anything. */
const secretSetting = z.union([
  z.string(),
  z
    .strictObject({
      value: z.string().optional(),
      /** A file that holds the secret; blanks and line ends around it are dropped. */
      file: z.string().optional(),
      /** The environment variable that holds it. */
      env: z.string().optional(),
      notBefore: moment.optional(),
      notAfter: moment.optional(),
    })
    .refine(
      (secret) => [secret.value, secret.file, secret.env].filter((text) => text !== undefined).length === 1,
      "give exactly one of value, file and env",
    )
    .refine(
      ({ notBefore, notAfter }) =>
        notBefore === undefined || notAfter === undefined || Date.parse(notBefore) < Date.parse(notAfter),
      "notAfter must lie after notBefore",
    ),
]);

export type SecretSetting = z.infer<typeof secretSetting>;

/** One source as configured. */
export const sourceSettings = z.strictObject({
  provider: z.enum(providerNames satisfies [ProviderName, ...ProviderName[]], {
    error: ({ input }) => providerExpected(input),
  }),
  secrets: z.array(secretSetting).default([]),
  ...sourceTraits,
});

export type SourceSettings = z.infer<typeof sourceSettings>;

/** The content of WARREN_SOURCES: sources by name. */
export const sourcesSettings = z.record(z.string(), sourceSettings).check((context) => {
  for (const name of Object.keys(context.value)) {
    for (const { message } of sourceName.safeParse(name).error?.issues ?? []) {
      context.issues.push({ code: "custom", path: [name], message, input: name });
    }
  }
});
