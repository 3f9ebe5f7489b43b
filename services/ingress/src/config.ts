import { emailAddress } from "@warren/contracts";
import { z } from "zod";
import { addressList } from "./address/address-list.ts";

const mebibyte = 1_048_576;

function areAddresses(entries: readonly string[]): boolean {
  try {
    addressList(entries);
    return true;
  } catch {
    return false;
  }
}

/** Settings of the ingress. Sources may also be given one a variable: see `sources/load.ts`. */
export const ingressConfig = z.object({
  WARREN_SOURCES: z
    .string()
    .optional()
    .describe('the JSON of all sources by name, such as {"github":{"provider":"github","secrets":["…"]}}'),
  WARREN_TRUSTED_PROXIES: z
    .string()
    .default("")
    .transform((text) => text.split(",").flatMap((entry) => (entry.trim() === "" ? [] : [entry.trim()])))
    .refine(areAddresses)
    .describe("addresses and networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8,fd00::/8"),
  WARREN_NOTIFY_EMAIL: emailAddress
    .optional()
    .describe("the address that is told of webhooks, such as anna@example.com"),
  WARREN_NOTIFY_LOCALE: z
    .string()
    .min(2)
    .max(35)
    .default("en")
    .describe("the language of these mails, such as en or ru"),
  WARREN_MAX_IN_FLIGHT: z.coerce
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(1_000)
    .describe("how many webhooks are handled at once, more are answered 503, 1 to 100000"),
  WARREN_MAX_BUFFERED_BYTES: z.coerce
    .number()
    .int()
    .min(mebibyte)
    .default(128 * mebibyte)
    .describe("how many bytes of bodies are held at once, more are answered 503, at least 1048576"),
});
