/** An object of a store's listing. */
export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  /** By the store's own clock. */
  readonly modifiedAt: Date;
}

export interface ObjectPage {
  /** In order of their keys. */
  readonly objects: readonly StoredObject[];
  /** Give it as `after` to go on; `undefined` at the end. */
  readonly next: string | undefined;
}

/**
 * Where large payloads lie. Objects are written once, under fresh keys, and never changed. Every method throws a `PayloadError`:
 * `PAYLOAD_STORE_UNAVAILABLE` is worth another try, `PAYLOAD_STORE_REFUSED` needs an operator.
 */
export interface PayloadStore {
  /** What it is, for messages and as its identity in the ledger: `file:///var/lib/warren`, `s3://bucket/prefix`. No secrets. */
  readonly name: string;
  /** Whether it can be used: the bucket or directory is there. Throws when not. */
  check(): Promise<void>;
  /** Durable when it resolves. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** At most `maxBytes` are read. @throws PayloadError `PAYLOAD_OBJECT_MISSING`, `PAYLOAD_OBJECT_CORRUPT` when it is larger. */
  get(key: string, maxBytes: number): Promise<Uint8Array>;
  /** Nothing happens if it is not there. */
  delete(key: string): Promise<void>;
  /** Up to `limit` objects (or a few more) in order of their keys, from the one after `after` on. */
  list(page: { readonly after: string | undefined; readonly limit: number }): Promise<ObjectPage>;
}

/** Which job's data an object is. */
export interface ObjectOwner {
  readonly jobId: string;
  readonly column: "payload" | "result";
}

const objectKey = /^[0-9a-f]{2}\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(payload|result)\.[0-9a-f]{16}$/;

/** A fresh key: fanned out over 256 folders by the random end of the job's id, with a random end of its own. */
export function objectKeyFor({ jobId, column }: ObjectOwner, suffix: string): string {
  const id = jobId.toLowerCase();
  return `${id.slice(-2)}/${id}.${column}.${suffix}`;
}

/** `undefined` for what is not ours. */
export function ownerOf(key: string): ObjectOwner | undefined {
  const [, jobId, column] = objectKey.exec(key) ?? [];
  return jobId === undefined ? undefined : { jobId, column: column === "result" ? "result" : "payload" };
}
