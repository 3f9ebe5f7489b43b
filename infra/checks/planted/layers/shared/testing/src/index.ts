export type { Ledger } from "@warren/ledger";
export { createTestClient } from "./jobs/index.ts";
