import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** What a handler says about one attempt, at its start and at its end. */
export interface Note {
  readonly what: "start" | "end";
  /** Name of the job, or of the subscription. */
  readonly kind: string;
  /** Id of the job or the event. */
  readonly job: string;
  readonly number: number;
  readonly key: string;
  readonly fence: number;
  readonly pid: number;
  /** The machine's monotonic clock, the same for all processes. */
  readonly monoMs: number;
  readonly wallMs: number;
  /** Of an end: `done` after the commit; `failed` by its own will; `stopped` by a signal or an outage. */
  readonly outcome?: "done" | "failed" | "stopped";
  readonly code?: string;
}

export const monoMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * Opens this process's own record for appending. Each note is one write(2) of one line, so the kernel has it before the handler goes on, and a
 * process that is killed in the next instant has left it behind.
 */
export function openNotes(folder: string) {
  const file = openSync(join(folder, `${process.pid}.jsonl`), "a");
  return {
    add(note: Omit<Note, "pid" | "monoMs" | "wallMs">): void {
      const whole: Note = { ...note, pid: process.pid, monoMs: monoMs(), wallMs: Date.now() };
      writeSync(file, `${JSON.stringify(whole)}\n`);
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

export type Notes = ReturnType<typeof openNotes>;

/** All notes of all processes. A line that a killed process did not finish is left out: its write never returned. */
export function readNotes(folder: string): readonly Note[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) => {
      const text = readFileSync(join(folder, name), "utf8");
      return text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    })
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Note)
    .sort((a, b) => a.monoMs - b.monoMs);
}
