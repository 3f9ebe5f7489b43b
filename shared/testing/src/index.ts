export { Management, type QueueFacts } from "./management.ts";
export { serversFromEnvironment, type TestServers, testServers } from "./servers.ts";
export { type WaitForOptions, waitFor } from "./wait-for.ts";
export { createWorld, type World, type WorldOptions } from "./world.ts";
