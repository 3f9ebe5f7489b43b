import { z } from "zod";
import { createPayloadStore } from "./create-store.ts";
import { parseKeyRing } from "./key-ring.ts";
import type { Payloads } from "./seal.ts";

/** Settings of a process that seals or opens payloads, for the `config` of `runService`; each may come as `NAME_FILE`. */
export const payloadSettings = z.object({
  WARREN_PAYLOAD_KEYS: z
    .string()
    .optional()
    .describe("id:base64 of 32 random bytes, the current key first, older ones after commas"),
  WARREN_PAYLOAD_STORE: z
    .string()
    .optional()
    .describe("file:///directory or s3://bucket/prefix?endpoint=https://host&region=eu-central-1"),
  AWS_ACCESS_KEY_ID: z.string().optional().describe("the access key of an s3:// payload store"),
  AWS_SECRET_ACCESS_KEY: z.string().optional().describe("the secret of that key"),
  AWS_SESSION_TOKEN: z.string().optional().describe("the session token of temporary credentials"),
});

export type PayloadSettings = z.output<typeof payloadSettings>;

/**
 * Key ring and store from the settings; what is not set is not there.
 * @throws PayloadError `PAYLOAD_KEY_RING_INVALID`, `PAYLOAD_STORE_INVALID`, neither with a secret in it.
 */
export function openPayloads(settings: PayloadSettings): Payloads {
  const { WARREN_PAYLOAD_KEYS: keys, WARREN_PAYLOAD_STORE: url } = settings;
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = settings;
  const given = Object.entries({ accessKeyId, secretAccessKey, sessionToken }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    keyRing: keys === undefined ? undefined : parseKeyRing(keys),
    store: url === undefined ? undefined : createPayloadStore({ kind: "url", url, ...Object.fromEntries(given) }),
  };
}
