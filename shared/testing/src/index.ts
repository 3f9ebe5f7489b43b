export type { Broker, Database } from "./broker-and-database.ts";
export { dockerAnswers } from "./docker/engine.ts";
export { type DockerPostgresOptions, startDockerPostgres } from "./docker/postgres.ts";
export { type DockerRabbitOptions, startDockerRabbit } from "./docker/rabbit.ts";
export { accepts, freePort, LocalServerError } from "./local/ports.ts";
export { type LocalPostgres, type LocalPostgresOptions, startLocalPostgres } from "./local/postgres.ts";
export { findRabbit, type LocalRabbit, type LocalRabbitOptions, startLocalRabbit } from "./local/rabbit.ts";
export { type Exit, findOnPath, spawnTied, type TiedProcess, type TiedProcessOptions } from "./local/tied-process.ts";
export { Management, type QueueFacts } from "./management.ts";
export { serversFromEnvironment, type TestServers, testServers } from "./servers.ts";
export { type ServiceProcess, type SpawnServiceOptions, spawnService } from "./service-process.ts";
export {
  chooseSubstrate,
  type Substrate,
  startPrivateBroker,
  startPrivateDatabase,
  testImagesAvailable,
} from "./substrate.ts";
export { startTcpProxy, type TcpProxy, type TcpProxyOptions } from "./tcp-proxy.ts";
export { type WaitForOptions, waitFor } from "./wait-for.ts";
export { stopWalWriter } from "./wal-writer.ts";
export { createWorld, type World, type WorldOptions } from "./world.ts";
