import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MailLog, type MailSummary, type StoredMail } from "./mail-log.ts";

export interface MailStoreOptions {
  /** Folder that keeps the mails over restarts. Without it they live in a temporary folder that goes with the process. */
  readonly dataDir?: string;
  /** Oldest mails go first, about a twentieth at a time, when there are more than this. */
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export type NewMail = Omit<MailSummary, "id" | "size"> & { readonly raw: Buffer };

export interface MailFilter {
  /** An envelope recipient, in any case. */
  readonly to?: string;
  /** Part of the subject, in any case. */
  readonly subject?: string;
  readonly messageId?: string;
  readonly correlationId?: string;
  /** Received at or after. */
  readonly since?: Date;
  /** Only mails with a greater id. */
  readonly after?: number;
}

interface Waiting {
  readonly mail: NewMail;
  readonly resolve: (summary: MailSummary) => void;
  readonly reject: (error: unknown) => void;
}

/** The mails of a sink: bounded, and kept on disk. Concurrent `add` calls share one write. */
export class MailStore {
  readonly #log: MailLog;
  readonly #options: MailStoreOptions;
  readonly #folder: { readonly path: string; readonly temporary: boolean };
  readonly #mails = new Map<number, StoredMail>();
  #bytes = 0;
  #nextId = 1;
  #waiting: Waiting[] = [];
  /** All changes run one after the other. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(options: MailStoreOptions, folder: { readonly path: string; readonly temporary: boolean }) {
    this.#options = options;
    this.#folder = folder;
    this.#log = new MailLog(folder.path, {
      bytes: Math.min(4 * 1024 * 1024, options.maxBytes / 20),
      mails: Math.ceil(options.maxMessages / 20),
    });
  }

  static async open(options: MailStoreOptions): Promise<MailStore> {
    const folder =
      options.dataDir === undefined
        ? { path: await mkdtemp(join(tmpdir(), "warren-mail-")), temporary: true }
        : { path: options.dataDir, temporary: false };
    const store = new MailStore(options, folder);
    for (const mail of await store.#log.open()) store.#remember(mail);
    await store.#trim();
    return store;
  }

  /** Resolves when the mail is written. */
  add(mail: NewMail): Promise<MailSummary> {
    const stored = new Promise<MailSummary>((resolve, reject) => this.#waiting.push({ mail, resolve, reject }));
    if (this.#waiting.length === 1) void this.#serially(() => this.#flush());
    return stored;
  }

  get(id: number): MailSummary | undefined {
    return this.#mails.get(id)?.summary;
  }

  async raw(id: number): Promise<Buffer | undefined> {
    const mail = this.#mails.get(id);
    if (mail === undefined) return undefined;
    try {
      return await this.#log.read(mail);
    } catch (error) {
      if (!this.#mails.has(id)) return undefined; // let go while it was being read
      throw error;
    }
  }

  /** All that match; oldest first. */
  find(filter: MailFilter): readonly MailSummary[] {
    const to = filter.to?.toLowerCase();
    const subject = filter.subject?.toLowerCase();
    const since = filter.since?.toISOString();
    const matches: MailSummary[] = [];
    for (const { summary } of this.#mails.values()) {
      if (filter.after !== undefined && summary.id <= filter.after) continue;
      if (since !== undefined && summary.receivedAt < since) continue;
      if (to !== undefined && !summary.to.some((address) => address.toLowerCase() === to)) continue;
      if (subject !== undefined && !summary.subject.toLowerCase().includes(subject)) continue;
      if (filter.messageId !== undefined && summary.messageId !== filter.messageId) continue;
      if (filter.correlationId !== undefined && summary.correlationId !== filter.correlationId) continue;
      matches.push(summary);
    }
    return matches;
  }

  size(): { readonly messages: number; readonly bytes: number; readonly newestId: number } {
    return { messages: this.#mails.size, bytes: this.#bytes, newestId: this.#nextId - 1 };
  }

  /** Answers whether there was one. */
  remove(id: number): Promise<boolean> {
    return this.#serially(async () => {
      if (!this.#mails.has(id)) return false;
      await this.#log.markDeleted(id);
      this.#forget(id);
      return true;
    });
  }

  /** Answers how many there were. */
  clear(): Promise<number> {
    return this.#serially(async () => {
      const count = this.#mails.size;
      await this.#log.clear();
      this.#mails.clear();
      this.#bytes = 0;
      return count;
    });
  }

  async close(): Promise<void> {
    await this.#serially(() => this.#log.close());
    if (this.#folder.temporary) await rm(this.#folder.path, { recursive: true, force: true });
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    const records = batch.map(({ mail: { raw, ...rest } }) => ({
      summary: { id: this.#nextId++, ...rest, size: raw.length },
      raw,
    }));
    try {
      const places = await this.#log.append(records);
      records.forEach(({ summary }, index) => {
        const place = places[index];
        if (place !== undefined) this.#remember({ summary, place });
        batch[index]?.resolve(summary);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    await this.#trim();
  }

  /** Lets whole segments of the oldest mails go. */
  async #trim(): Promise<void> {
    let dropped = -1;
    for (const [id, { place }] of this.#mails) {
      const over = this.#mails.size > this.#options.maxMessages || this.#bytes > this.#options.maxBytes;
      if ((!over && place.segment !== dropped) || place.segment === this.#log.segment) break;
      dropped = place.segment;
      this.#forget(id);
    }
    if (dropped >= 0) await this.#log.dropBefore(dropped + 1);
  }

  #remember(mail: StoredMail): void {
    this.#mails.set(mail.summary.id, mail);
    this.#bytes += mail.summary.size;
    this.#nextId = Math.max(this.#nextId, mail.summary.id + 1);
  }

  #forget(id: number): void {
    this.#bytes -= this.#mails.get(id)?.summary.size ?? 0;
    this.#mails.delete(id);
  }

  #serially<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(change);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
