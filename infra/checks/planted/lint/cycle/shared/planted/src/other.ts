import { planted } from "./index.ts";

export function other(): number {
  return planted() - 1;
}
