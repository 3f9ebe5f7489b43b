export { TestingError } from "./errors.ts";
export {
  type EnqueuedOptions,
  expectEnqueued,
  expectPublished,
  type PublishedOptions,
  refuteEnqueued,
} from "./expectations.ts";
export type { Matcher } from "./matching.ts";
export type { DeadTestEvent } from "./memory-broker.ts";
export { openTestWarren, type TestWarren, type TestWarrenOptions, type WarrenDrainOptions } from "./open-warren.ts";
export type { PublishedEvent } from "./published.ts";
export {
  createTestClient,
  type Drained,
  type DrainOptions,
  type TestClient,
  type TestClientOptions,
} from "./test-client.ts";
