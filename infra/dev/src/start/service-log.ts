import { createWriteStream, existsSync, renameSync, statSync, type WriteStream } from "node:fs";

const rotateAt = 10 * 1024 * 1024;
const rememberedLines = 40;

/** A service's log file, and its last lines in memory. */
export class ServiceLog {
  readonly path: string;
  readonly #stream: WriteStream;
  readonly #show: ((line: string) => void) | undefined;
  #last: string[] = [];

  /** The file of the run before is moved to `.1` when it has grown large. */
  constructor(path: string, show: ((line: string) => void) | undefined) {
    this.path = path;
    this.#show = show;
    if (existsSync(path) && statSync(path).size > rotateAt) renameSync(path, `${path}.1`);
    this.#stream = createWriteStream(path, { flags: "a" });
    this.#stream.on("error", () => undefined); // a full disk must not take the platform down with it
  }

  write(line: string): void {
    this.#stream.write(`${line}\n`);
    this.#last.push(line);
    if (this.#last.length > rememberedLines) this.#last.shift();
    this.#show?.(line);
  }

  /** What went wrong, in the service's own words: its last errors, else its last lines. */
  lastWords(): string {
    return lastWordsOf(this.#last);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#stream.end(resolve));
  }
}

/** Pure. */
export function lastWordsOf(lines: readonly string[]): string {
  const errors = lines.flatMap((line) => errorMessage(line) ?? []);
  if (errors.length > 0) return errors.slice(-3).join("\n");
  return lines.slice(-8).join("\n");
}

function errorMessage(line: string): string | undefined {
  try {
    const record: unknown = JSON.parse(line);
    if (typeof record !== "object" || record === null || !("level" in record) || !("msg" in record)) return undefined;
    const severe =
      record.level === "error" || record.level === "fatal" || (typeof record.level === "number" && record.level >= 50);
    if (!severe) return undefined;
    const err = "err" in record && typeof record.err === "object" && record.err !== null ? record.err : {};
    const cause = "message" in err ? `: ${String(err.message)}` : "";
    return `${String(record.msg)}${cause}`;
  } catch {
    return undefined;
  }
}
