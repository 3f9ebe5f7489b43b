import type { Attempt } from "../src/audit/attempts.ts";
import type { Effect, Move } from "../src/database-record.ts";
import type { Note } from "../src/notes.ts";
import type { Promised } from "../src/promises.ts";

let position = 0;

export const effect = (kind: string, number: number, more: Partial<Effect> = {}): Effect => {
  position += 1;
  return { position, kind, number, key: "", job: `job-${kind}-${number}`, fence: 1, atMs: number * 100, ...more };
};

export const promised = (kind: string, number: number, more: Partial<Promised> = {}): Promised => ({
  kind,
  number,
  key: "",
  answer: "acked",
  job: `job-${kind}-${number}`,
  created: true,
  sentMs: number * 100 - 10,
  answeredMs: number * 100 - 5,
  ...more,
});

export const attempt = (kind: string, number: number, more: Partial<Attempt> = {}): Attempt => ({
  kind,
  job: `job-${kind}-${number}`,
  number,
  key: "",
  fence: 1,
  pid: 1,
  startMs: number * 100,
  endMs: number * 100 + 50,
  ending: "done",
  doneWallMs: number * 100 + 50,
  ...more,
});

export const note = (what: Note["what"], number: number, monoMs: number, more: Partial<Note> = {}): Note => ({
  what,
  kind: "k",
  job: `job-${number}`,
  number,
  key: "",
  fence: 1,
  pid: 1,
  monoMs,
  // this machine was started at 1,000,000
  wallMs: monoMs + 1_000_000,
  ...more,
});

export const move = (what: Move["what"], number: number, monoMs: number, more: Partial<Move> = {}): Move => ({
  what,
  job: `job-${number}`,
  fence: 1,
  queue: "q",
  key: "",
  atMs: monoMs + 1_000_000,
  dueMs: monoMs + 1_000_000,
  ...more,
});
