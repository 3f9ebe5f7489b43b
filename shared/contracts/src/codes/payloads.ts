import type { CodeEntries } from "./entry.ts";

/** Codes of payloads and results: size, versions, encryption, object storage, searchable fields. */
export const payloadsCodes = {
  JOB_PAYLOAD_TOO_LARGE: {
    meaning: "The payload is larger, in bytes of JSON, than `maxPayloadBytes` of its job definition.",
    fix: "Enqueue a reference to the data, or raise `maxPayloadBytes` and set `offloadAboveBytes`, so that it goes to the payload store.",
  },
  JOB_RESULT_TOO_LARGE: {
    meaning: "The handler returned a result larger, in bytes of JSON, than `maxResultBytes` of its job definition.",
    fix: "Return a reference to the data, or raise `maxResultBytes` and set `offloadAboveBytes`, so that it goes to the payload store.",
  },
  JOB_SEARCH_INVALID: {
    meaning: "The searchable fields of a job are not at most ten short plain values, or their function threw.",
    fix: "Let `search` answer at most 10 strings of at most 200 characters, finite numbers or booleans.",
  },
  JOB_SEALING_REQUIRED: {
    meaning:
      "The job's payload must be encrypted or offloaded, and was prepared by a function that can do neither: `prepare`.",
    fix: "Use `await client.prepare(…)`, or enqueue through the client.",
  },
  PAYLOAD_UPCAST_FAILED: {
    meaning: "A payload of an old version could not be brought to the current one: its upcaster threw.",
    fix: "Correct the upcaster, which the message names, deploy it, and retry the job.",
  },
  PAYLOAD_KEY_RING_INVALID: {
    meaning: "The key ring for payloads has a key that is not 32 bytes, a malformed key id, or no current key.",
    fix: "Give WARREN_PAYLOAD_KEYS as `id:base64` of 32 random bytes each (`openssl rand -base64 32`), the current one first.",
  },
  PAYLOAD_KEY_RING_MISSING: {
    meaning:
      "Something is to be sealed (a job whose definition says `encrypt`, a secret kept in a table), and this process has no key ring.",
    fix: "Give the client and the worker `payloads: { keyRing }`, or set WARREN_PAYLOAD_KEYS.",
  },
  PAYLOAD_KEY_UNKNOWN: {
    meaning: "A payload was encrypted under a key that is not in this process's key ring.",
    fix: "Add the key that the message names to WARREN_PAYLOAD_KEYS of every worker, and retry the job.",
  },
  PAYLOAD_SEAL_BROKEN: {
    meaning: "A stored payload does not open: it was changed, belongs to another job, or its key is a different one.",
    fix: "Compare the keys of the processes; if they agree, the data was damaged: restore it, or enqueue the job again.",
  },
  PAYLOAD_FORM_UNKNOWN: {
    meaning: "A payload is stored in a form that this process does not know: a newer one wrote it.",
    fix: "Deploy the newer version everywhere; the job waits for a worker that knows the form.",
  },
  PAYLOAD_STORE_MISSING: {
    meaning: "A payload is, or must be, in the payload store, and this process has none.",
    fix: "Give the client and the worker `payloads: { store }`, or set WARREN_PAYLOAD_STORE.",
  },
  PAYLOAD_STORE_INVALID: {
    meaning: "The payload store's settings are wrong.",
    fix: "The message names the setting. Use `file:///directory` or `s3://bucket/prefix?region=…&endpoint=…`.",
  },
  PAYLOAD_STORE_UNAVAILABLE: {
    meaning: "The payload store did not answer, or could not do it now (network, full disk, server error).",
    fix: "Nothing, if it comes back: jobs wait for it. Else look at the store.",
  },
  PAYLOAD_STORE_REFUSED: {
    meaning:
      "The payload store refused: no such bucket, no right to read or write, a directory that cannot be written.",
    fix: "Make the bucket or directory, or give this process the rights; the message names it.",
  },
  PAYLOAD_STORE_FOREIGN: {
    meaning: "The payload store's folder belongs to another ledger, so nothing in it was swept.",
    fix: "Give each ledger a directory or prefix of its own.",
  },
  PAYLOAD_OBJECT_MISSING: {
    meaning: "An offloaded payload is not in the payload store.",
    fix: "Restore the object, or point the worker to the store it was written to; then retry the job.",
  },
  PAYLOAD_OBJECT_CORRUPT: {
    meaning: "An offloaded payload is not what was written: its size or SHA-256 differs.",
    fix: "Restore the object from a backup, then retry the job.",
  },
} as const satisfies CodeEntries;
