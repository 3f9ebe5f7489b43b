import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import type { NewEndpointSecret, SecretKind } from "@warren/ledger";
import type { KeyRing } from "../payloads/key-ring.ts";
import { openText, sealText } from "../payloads/sealed-text.ts";

/** Bytes of a fresh `v1` secret; the specification allows 24 to 64. */
const secretBytes = 32;
const prefix = "whsec_";
/** In the DER of an Ed25519 public key (RFC 8410) the key is the end. */
const publicKeyBytes = 32;

/** What signs a delivery. */
export type SigningKey =
  | { readonly kind: "v1"; readonly key: Buffer }
  | { readonly kind: "v1a"; readonly key: KeyObject };

/** A secret to be kept, and what its owner is shown once. */
export interface MadeSecret {
  readonly record: NewEndpointSecret;
  /** `whsec_…` of v1; of v1a nobody but Warren needs the private key. */
  readonly secret: string | undefined;
  /** `whpk_…` of v1a. */
  readonly publicKey: string | undefined;
}

interface Place {
  readonly endpointId: string;
  readonly id: string;
  readonly keyRing: KeyRing | undefined;
}

/** Makes or takes a secret and seals it. @throws PayloadError `PAYLOAD_KEY_RING_MISSING`. */
export function makeSecret(
  given: { readonly kind: SecretKind; readonly secret?: string | undefined },
  place: Place,
): MadeSecret {
  const { id, keyRing } = place;
  if (given.kind === "v1") {
    const secret = given.secret ?? `${prefix}${randomBytes(secretBytes).toString("base64")}`;
    const sealed = sealText(ownerOf(place), secret, keyRing);
    return { record: { id, kind: "v1", publicKey: undefined, sealed }, secret, publicKey: undefined };
  }
  const pair = generateKeyPairSync("ed25519");
  const raw = pair.publicKey.export({ format: "der", type: "spki" }).subarray(-publicKeyBytes);
  const publicKey = `whpk_${raw.toString("base64")}`;
  const pem = pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const sealed = sealText(ownerOf(place), pem, keyRing);
  return { record: { id, kind: "v1a", publicKey, sealed }, secret: undefined, publicKey };
}

/** @throws PayloadError `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`. */
export function openSecret(record: Pick<NewEndpointSecret, "kind" | "sealed">, place: Place): SigningKey {
  const clear = openText(ownerOf(place), record.sealed, place.keyRing);
  return record.kind === "v1"
    ? { kind: "v1", key: Buffer.from(clear.slice(prefix.length), "base64") }
    : { kind: "v1a", key: createPrivateKey(clear) };
}

function ownerOf({ endpointId, id }: Pick<Place, "endpointId" | "id">): string {
  return `webhook-endpoint/${endpointId}/secret/${id}`;
}
