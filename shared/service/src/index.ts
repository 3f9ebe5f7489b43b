export type { AmqpConfig, LedgerConfig, ProcessConfig } from "./base-config.ts";
export { amqpConfig, ledgerConfig } from "./base-config.ts";
export { ConfigError, type ConfigProblem, type Environment, type ReadFile, readConfig } from "./config.ts";
export { type HealthHost, type HealthReply, registerHealthRoutes } from "./health-routes.ts";
export { listenError } from "./health-server.ts";
export { openWarren, type Warren, type WarrenOptions, type WarrenWorkerOptions } from "./open-warren.ts";
export { runService } from "./run-service.ts";
export type { RunningService, ServiceContext, ServiceDefinition, ServiceNeeds } from "./service.ts";
export { startWorkerService } from "./worker-service.ts";
