/** A process that owns private servers and is then killed by `private-servers.integration.test.ts`. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalPostgres, startLocalRabbit } from "../src/index.ts";

const folder = await mkdtemp(join(tmpdir(), "warren-owner-"));
const [rabbit, postgres] = await Promise.all([
  startLocalRabbit({ dataDir: join(folder, "rabbit") }),
  startLocalPostgres({ dataDir: join(folder, "postgres") }),
]);
process.stdout.write(
  `${JSON.stringify({ folder, ports: [rabbit.amqpPort, postgres.port], processes: [rabbit.pid(), postgres.pid()] })}\n`,
);
