import { used } from "./part.ts";

export const result = used;
