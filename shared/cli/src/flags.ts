import { readFileSync } from "node:fs";
import { WarrenError } from "@warren/contracts";
import { InvalidArgumentError } from "commander";

/** Flags as values. What a flag cannot be is a usage error that says what it takes. */
export function positive(text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new InvalidArgumentError("Expected a number above 0.");
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** An id of Warren's own making: of a job, a flow, a request, an operation. */
export function id(text: string): string {
  if (uuid.test(text)) return text;
  throw new InvalidArgumentError("Expected an id such as 01890000-0000-7000-8000-000000000000.");
}

export function instant(text: string): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw new InvalidArgumentError("Expected a time such as 2026-01-31T12:00:00Z.");
  return at;
}

export function seconds(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError("Expected whole seconds.");
}

/** Comma-separated. */
export function names(text: string): readonly string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** What must not be an argument: those are seen in the list of processes and kept in the shell's history. `-` is standard input. */
export function textOf(option: string, file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch (cause) {
    throw new WarrenError("CONFIG_INVALID", `${option} ${file} cannot be read`, { cause });
  }
}

export function jsonOf(option: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WarrenError("CONFIG_INVALID", `${option} is not valid JSON`, { cause });
  }
}
