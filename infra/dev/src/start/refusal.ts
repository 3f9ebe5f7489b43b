import { WarrenError } from "@warren/contracts";

/** Why `npm start` (or the demo) does not go on: one sentence for the user, fix included. Shown without a stack. */
export class Refusal extends Error {
  constructor(sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.name = "Refusal";
  }
}

/** The operating system's code of an error (`EACCES`, `ENOSPC` …), its causes included; undefined when it has none. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string" && /^E[A-Z]+$/.test(error.code)) return error.code;
  return systemCode(error.cause);
}

/** The sentence for any failure; `undefined` for one that nobody foresaw, which deserves its stack. */
export function sentenceOf(error: unknown, stateFolder: string): string | undefined {
  if (error instanceof Refusal) return error.message;
  switch (systemCode(error) ?? "") {
    case "ENOSPC":
      return `no space is left on the disk of ${stateFolder}: free some and start again`;
    case "EACCES":
    case "EPERM":
      return `this user has no right to write into ${stateFolder}: give it to them (sudo mkdir -p ${stateFolder} && sudo chown -R $(id -un) ${stateFolder}) and start again`;
    case "EROFS":
      return `${stateFolder} is on a read-only file system: clone Warren to a place that can be written`;
    default:
      return error instanceof WarrenError ? error.message : undefined;
  }
}
