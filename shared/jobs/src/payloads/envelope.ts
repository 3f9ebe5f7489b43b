import { z } from "zod";
import { PayloadError } from "./errors.ts";

/**
 * How a payload or result is stored (`jobs.payload_form`):
 * `undefined` plain JSON; `a256gcm` encrypted, in the row; `object` in the payload store; `a256gcm+object` encrypted, then stored there.
 */
type PayloadForm = "a256gcm" | "object" | "a256gcm+object";

/** A payload or result as the ledger keeps it. */
export interface Sealed {
  readonly form: PayloadForm | undefined;
  /** The data itself when `form` is undefined, else an envelope. */
  readonly value: unknown;
}

const base64 = (bytes?: number) =>
  z.string().refine((text) => {
    const decoded = Buffer.from(text, "base64");
    // canonical: no bit of it can change without being noticed, padding included
    return decoded.toString("base64") === text && (bytes === undefined || decoded.length === bytes);
  });

const cipherFields = { kid: z.string().min(1).max(64), iv: base64(12) };
const objectFields = {
  object: z.string().min(1).max(300),
  bytes: z.number().int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
};

const envelopes = {
  a256gcm: z.strictObject({ ...cipherFields, data: base64() }),
  object: z.strictObject(objectFields),
  "a256gcm+object": z.strictObject({ ...cipherFields, ...objectFields }),
} as const;

/** Where the bytes of an offloaded payload are, and what they must be. */
export type ObjectReference = z.output<typeof envelopes.object>;

export type Envelope =
  | ({ readonly form: "a256gcm" } & z.output<typeof envelopes.a256gcm>)
  | ({ readonly form: "object" } & ObjectReference)
  | ({ readonly form: "a256gcm+object" } & z.output<(typeof envelopes)["a256gcm+object"]>);

/** @throws PayloadError `PAYLOAD_FORM_UNKNOWN`, `PAYLOAD_SEAL_BROKEN` when it is not exactly what was written. */
export function readEnvelope(what: string, form: string, value: unknown): Envelope {
  if (!Object.hasOwn(envelopes, form)) {
    throw new PayloadError("PAYLOAD_FORM_UNKNOWN", `${what} is stored as "${form}", which this process does not know`, {
      details: { form },
    });
  }
  const known = form as PayloadForm;
  const parsed = envelopes[known].safeParse(value);
  if (!parsed.success) throw new PayloadError("PAYLOAD_SEAL_BROKEN", `the envelope of ${what} is damaged`);
  return { form: known, ...parsed.data } as Envelope;
}

/** Results have no column for their form: a sealed one is wrapped under this name, and so is a plain one that happens to have it. */
const wrapper = "$warren";

export function packResult({ form, value }: Sealed): unknown {
  if (form !== undefined) return { [wrapper]: { form, value } };
  const collides = typeof value === "object" && value !== null && Object.hasOwn(value, wrapper);
  return collides ? { [wrapper]: { form: "plain", value } } : value;
}

const packed = z.strictObject({ form: z.string(), value: z.unknown() });

/** What `packResult` was given. @throws PayloadError `PAYLOAD_SEAL_BROKEN`. */
export function unpackResult(
  what: string,
  stored: unknown,
): { readonly form: string | undefined; readonly value: unknown } {
  if (typeof stored !== "object" || stored === null || !Object.hasOwn(stored, wrapper))
    return { form: undefined, value: stored };
  const parsed = packed.safeParse((stored as Record<string, unknown>)[wrapper]);
  if (!parsed.success || Object.keys(stored).length !== 1) {
    throw new PayloadError("PAYLOAD_SEAL_BROKEN", `the envelope of ${what} is damaged`);
  }
  const { form, value } = parsed.data;
  return { form: form === "plain" ? undefined : form, value };
}
