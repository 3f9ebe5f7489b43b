import { type FileHandle, mkdir, open, readdir, readFile, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** What is known of a mail without reading it. */
const mailSummary = z.object({
  /** Grows by one with every mail. */
  id: z.number().int(),
  receivedAt: z.string(),
  /** Envelope, not headers. */
  from: z.string(),
  to: z.array(z.string()),
  subject: z.string(),
  messageId: z.string(),
  /** `X-Correlation-Id`, empty when there is none. */
  correlationId: z.string(),
  /** Bytes of the raw message. */
  size: z.number().int(),
});

export type MailSummary = z.infer<typeof mailSummary>;

export interface StoredMail {
  readonly summary: MailSummary;
  readonly place: Place;
}

/** Where the raw bytes are. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
}

export interface SegmentLimits {
  readonly bytes: number;
  readonly mails: number;
}

const tombstone = z.object({ deleted: z.number().int() });
const newline = 10;

/**
 * Mails on disk, in segment files: a line of JSON, the raw bytes, a line feed. What is appended has been given to
 * the operating system, so it outlives this process, though not a power cut. A torn end (killed while writing) is cut off at opening.
 */
export class MailLog {
  readonly #folder: string;
  readonly #limits: SegmentLimits;
  #segment = 0;
  #size = 0;
  #count = 0;
  #file: FileHandle | undefined;

  constructor(folder: string, limits: SegmentLimits) {
    this.#folder = folder;
    this.#limits = limits;
  }

  /** The segment that is being written. */
  get segment(): number {
    return this.#segment;
  }

  /** Reads everything back, in order. */
  async open(): Promise<readonly StoredMail[]> {
    await mkdir(this.#folder, { recursive: true });
    const mails = new Map<number, StoredMail>();
    for (const segment of await this.#segments()) {
      const content = await readFile(this.#path(segment));
      const { end } = scan(content, segment, mails);
      if (end < content.length) await truncate(this.#path(segment), end);
      this.#segment = segment;
    }
    await this.#nextSegment();
    return [...mails.values()];
  }

  /** Appends in one write; answers the places in the same order. */
  async append(mails: readonly { readonly summary: MailSummary; readonly raw: Buffer }[]): Promise<readonly Place[]> {
    if (this.#size > this.#limits.bytes || this.#count >= this.#limits.mails) await this.#nextSegment();
    const chunks: Buffer[] = [];
    const places: Place[] = [];
    let offset = this.#size;
    for (const { summary, raw } of mails) {
      const head = Buffer.from(`${JSON.stringify(summary)}\n`);
      places.push({ segment: this.#segment, offset: offset + head.length });
      chunks.push(head, raw, Buffer.from("\n"));
      offset += head.length + raw.length + 1;
    }
    await this.#write(Buffer.concat(chunks));
    this.#count += mails.length;
    return places;
  }

  async read(mail: StoredMail): Promise<Buffer> {
    const file = await open(this.#path(mail.place.segment), "r");
    try {
      const raw = Buffer.alloc(mail.summary.size);
      await file.read(raw, 0, raw.length, mail.place.offset);
      return raw;
    } finally {
      await file.close();
    }
  }

  /** Notes down that a mail was deleted; its bytes go with its segment. */
  async markDeleted(id: number): Promise<void> {
    await this.#write(Buffer.from(`${JSON.stringify({ deleted: id })}\n`));
  }

  /** Removes all segments before this one. */
  async dropBefore(segment: number): Promise<void> {
    for (const old of await this.#segments()) {
      if (old < segment) await rm(this.#path(old), { force: true });
    }
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    await this.#nextSegment();
    await this.dropBefore(this.#segment);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #write(chunk: Buffer): Promise<void> {
    if (this.#file === undefined) throw new Error("the mail log is closed");
    try {
      await this.#file.writeFile(chunk);
    } catch (error) {
      // Part of it may be there: what follows must not stand behind a torn record.
      await this.#nextSegment();
      throw error;
    }
    this.#size += chunk.length;
  }

  async #nextSegment(): Promise<void> {
    await this.close();
    this.#segment += 1;
    this.#size = 0;
    this.#count = 0;
    this.#file = await open(this.#path(this.#segment), "a");
  }

  async #segments(): Promise<readonly number[]> {
    const names = await readdir(this.#folder);
    const numbers = names.flatMap((name) => /^mails-(\d+)\.log$/.exec(name)?.[1] ?? []).map(Number);
    return numbers.toSorted((a, b) => a - b);
  }

  #path(segment: number): string {
    return join(this.#folder, `mails-${String(segment).padStart(8, "0")}.log`);
  }
}

/** Puts the mails of one segment into the map; answers where the last whole record ends. */
function scan(content: Buffer, segment: number, mails: Map<number, StoredMail>): { readonly end: number } {
  let end = 0;
  while (end < content.length) {
    const lineEnd = content.indexOf(newline, end);
    if (lineEnd < 0) break;
    const head = parseHead(content.toString("utf8", end, lineEnd));
    if (head === undefined) break;
    if ("deleted" in head) {
      mails.delete(head.deleted);
      end = lineEnd + 1;
      continue;
    }
    const offset = lineEnd + 1;
    if (content[offset + head.size] !== newline) break;
    mails.set(head.id, { summary: head, place: { segment, offset } });
    end = offset + head.size + 1;
  }
  return { end };
}

function parseHead(line: string): MailSummary | z.infer<typeof tombstone> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  return z.union([mailSummary, tombstone]).safeParse(value).data;
}
