import type { JobHandler } from "../handle.ts";
import { PayloadError } from "./errors.ts";
import type { Payloads } from "./seal.ts";

/**
 * A worker must be able to seal the results of what it handles: found out at its start, not when a handler has returned.
 * @throws PayloadError `PAYLOAD_KEY_RING_MISSING`, `PAYLOAD_STORE_MISSING` naming the definition.
 */
export function assertPayloads(handlers: readonly JobHandler[], payloads: Payloads = {}): Payloads {
  for (const { definition } of handlers) {
    if (definition.encrypt && payloads.keyRing === undefined) {
      throw new PayloadError(
        "PAYLOAD_KEY_RING_MISSING",
        `createWorker: ${definition.name} says "encrypt", and "payloads.keyRing" is missing`,
        { details: { job: definition.name } },
      );
    }
    if (definition.offloadAboveBytes !== undefined && payloads.store === undefined) {
      throw new PayloadError(
        "PAYLOAD_STORE_MISSING",
        `createWorker: ${definition.name} says "offloadAboveBytes", and "payloads.store" is missing`,
        { details: { job: definition.name } },
      );
    }
  }
  return payloads;
}
