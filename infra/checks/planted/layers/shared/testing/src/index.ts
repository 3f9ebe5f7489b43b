export type { Client } from "@warren/jobs";
export { createTestClient } from "./jobs/index.ts";
