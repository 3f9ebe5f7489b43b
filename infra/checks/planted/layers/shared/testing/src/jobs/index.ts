export { createClient as createTestClient } from "@warren/jobs";
