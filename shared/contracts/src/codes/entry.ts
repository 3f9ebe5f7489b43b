/** What an error code means, and what to do about it. */
interface CodeEntry {
  readonly meaning: string;
  readonly fix: string;
}

export type CodeEntries = Readonly<Record<string, CodeEntry>>;
