import { other } from "./other.ts";

export function planted(): number {
  return other() + 1;
}
