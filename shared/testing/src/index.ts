export { accepts, freePort, LocalServerError } from "./local/ports.ts";
export { type LocalPostgres, type LocalPostgresOptions, startLocalPostgres } from "./local/postgres.ts";
export { findRabbit, type LocalRabbit, type LocalRabbitOptions, startLocalRabbit } from "./local/rabbit.ts";
export { findOnPath } from "./local/tied-process.ts";
export { Management, type QueueFacts } from "./management.ts";
export { serversFromEnvironment, type TestServers, testServers } from "./servers.ts";
export { type WaitForOptions, waitFor } from "./wait-for.ts";
export { createWorld, type World, type WorldOptions } from "./world.ts";
