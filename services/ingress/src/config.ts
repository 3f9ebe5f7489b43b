import { apiScopes, emailAddress, parseApiKey } from "@warren/contracts";
import { payloadSettings } from "@warren/jobs";
import { z } from "zod";
import { addressList } from "./address/address-list.ts";
import { defaultConnectionLimits } from "./http/connections.ts";

const mebibyte = 1_048_576;

function areAddresses(entries: readonly string[]): boolean {
  try {
    addressList(entries);
    return true;
  } catch {
    return false;
  }
}

function listed(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** Settings of the ingress. Sources may also be given one a variable: see `sources/load.ts`. */
export const ingressConfig = z.object({
  ...payloadSettings.shape,
  WARREN_API_KEYS: z
    .string()
    .default("")
    .transform(listed)
    .refine((entries) => entries.every((entry) => parseApiKey(entry) !== undefined))
    .refine((entries) => new Set(entries.map((entry) => parseApiKey(entry)?.key)).size === entries.length)
    .describe(
      "keys of the management API with commas between, no two the same: each a key of at least 24 printable characters without a colon (openssl rand -hex 24), " +
        `or name:scopes:key with + between the scopes: *, *.read, *.write, ${apiScopes.join(", ")}`,
    ),
  WARREN_API_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(8090)
    .describe("the port of the management API, 0 to 65535; it listens only when WARREN_API_KEYS is set"),
  WARREN_SOURCES: z
    .string()
    .optional()
    .describe('the JSON of all sources by name, such as {"github":{"provider":"github","secrets":["…"]}}'),
  WARREN_TRUSTED_PROXIES: z
    .string()
    .default("")
    .transform(listed)
    .refine(areAddresses)
    .refine((entries) => !entries.some((entry) => /\/0+$/.test(entry)))
    .describe(
      "addresses and networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8,fd00::/8; never all addresses (/0), or every sender could name itself",
    ),
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
  WARREN_MAX_CONNECTIONS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(defaultConnectionLimits.total)
    .describe("how many connections are held at once, more are closed, 1 to 1000000"),
  WARREN_MAX_CONNECTIONS_PER_ADDRESS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(defaultConnectionLimits.perAddress)
    .describe("how many of them from one address (of IPv6: one /64) that is no trusted proxy, 1 to 1000000"),
  WARREN_MAX_BUFFERED_BYTES: z.coerce
    .number()
    .int()
    .min(mebibyte)
    .default(128 * mebibyte)
    .describe("how many bytes of bodies are held at once, more are answered 503, at least 1048576"),
});
