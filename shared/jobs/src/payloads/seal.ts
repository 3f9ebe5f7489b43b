import { createHash, randomBytes } from "node:crypto";
import { decrypt, describePlace, encrypt, type Place } from "./cipher.ts";
import { type Envelope, type ObjectReference, readEnvelope, type Sealed } from "./envelope.ts";
import { PayloadError } from "./errors.ts";
import type { KeyRing } from "./key-ring.ts";
import { exceeds } from "./limits.ts";
import { objectKeyFor, ownerOf, type PayloadStore } from "./store.ts";

/** What a process has for payloads that are not plain. */
export interface Payloads {
  /** For definitions that say `encrypt`. */
  readonly keyRing?: KeyRing | undefined;
  /** For definitions that say `offloadAboveBytes`. */
  readonly store?: PayloadStore | undefined;
}

/** What a definition says about how its data is stored. */
export interface SealPolicy {
  readonly encrypt: boolean;
  readonly offloadAboveBytes: number | undefined;
}

/** Whether this text goes into its row as it is. */
export function staysPlain({ encrypt, offloadAboveBytes }: SealPolicy, text: string): boolean {
  return !encrypt && (offloadAboveBytes === undefined || !exceeds(text, offloadAboveBytes));
}

/**
 * Encrypts and offloads JSON text as the policy says. An offloaded object is durable when this resolves, so before any row names it.
 * @throws PayloadError `PAYLOAD_KEY_RING_MISSING`, `PAYLOAD_STORE_…`.
 */
export async function sealText(place: Place, text: string, policy: SealPolicy, payloads: Payloads): Promise<Sealed> {
  const encrypted = policy.encrypt ? encrypt(place, text, needKeyRing(place, payloads)) : undefined;
  const { offloadAboveBytes } = policy;
  // measured before encryption: what is offloaded depends on the data, not on how it is kept
  if (offloadAboveBytes === undefined || place.column === "error" || !exceeds(text, offloadAboveBytes)) {
    if (encrypted === undefined) return { form: undefined, value: JSON.parse(text) as unknown };
    const { kid, iv, data } = encrypted;
    return { form: "a256gcm", value: { kid, iv, data: data.toString("base64") } };
  }
  const bytes = encrypted?.data ?? Buffer.from(text);
  const reference = await offload(place, bytes, needStore(place, payloads));
  if (encrypted === undefined) return { form: "object", value: reference };
  return { form: "a256gcm+object", value: { kid: encrypted.kid, iv: encrypted.iv, ...reference } };
}

/**
 * The JSON text that was sealed, verified.
 * @throws PayloadError `PAYLOAD_FORM_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`, `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_OBJECT_MISSING`,
 * `PAYLOAD_OBJECT_CORRUPT`, `PAYLOAD_STORE_…`.
 */
export async function openText(
  place: Place,
  stored: { readonly form: string; readonly value: unknown },
  payloads: Payloads,
): Promise<string> {
  const envelope = readEnvelope(describePlace(place), stored.form, stored.value);
  const data = await bytesOf(place, envelope, payloads);
  if (envelope.form === "object") return data.toString("utf8");
  return decrypt(place, { kid: envelope.kid, iv: envelope.iv, data }, payloads.keyRing);
}

async function bytesOf(place: Place, envelope: Envelope, payloads: Payloads): Promise<Buffer> {
  if (envelope.form === "a256gcm") return Buffer.from(envelope.data, "base64");
  const owner = ownerOf(envelope.object);
  if (owner?.jobId !== place.jobId.toLowerCase() || owner.column !== place.column) {
    throw new PayloadError("PAYLOAD_SEAL_BROKEN", `${describePlace(place)} names an object that is not its own`);
  }
  return fetchObject(place, envelope, needStore(place, payloads));
}

async function offload(place: Place, bytes: Buffer, store: PayloadStore): Promise<ObjectReference> {
  const { jobId, column } = place;
  if (column === "error") throw new RangeError("errors are not offloaded");
  const object = objectKeyFor({ jobId, column }, randomBytes(8).toString("hex"));
  await store.put(object, bytes);
  return { object, bytes: bytes.length, sha256: sha256(bytes) };
}

async function fetchObject(place: Place, reference: ObjectReference, store: PayloadStore): Promise<Buffer> {
  const bytes = Buffer.from(await store.get(reference.object, reference.bytes));
  if (bytes.length === reference.bytes && sha256(bytes) === reference.sha256) return bytes;
  throw new PayloadError(
    "PAYLOAD_OBJECT_CORRUPT",
    `${describePlace(place)}: object ${reference.object} has ${bytes.length} bytes that are not the ${reference.bytes} that were written`,
    { details: { object: reference.object } },
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function needKeyRing(place: Place, { keyRing }: Payloads): KeyRing {
  if (keyRing !== undefined) return keyRing;
  throw new PayloadError(
    "PAYLOAD_KEY_RING_MISSING",
    `${describePlace(place)} is to be encrypted, and there is no key ring`,
  );
}

function needStore(place: Place, { store }: Payloads): PayloadStore {
  if (store !== undefined) return store;
  throw new PayloadError(
    "PAYLOAD_STORE_MISSING",
    `${describePlace(place)} belongs into a payload store, and there is none`,
  );
}
