/** A small service for `service-process.integration.test.ts`: logs what it gets, ends in an orderly way on SIGTERM. */
import { createServer } from "node:http";

const server = createServer((request, response) => {
  process.stdout.write(`${JSON.stringify({ msg: "request", path: request.url })}\n`);
  response.end(process.env["GREETING"]);
});
server.listen(Number(process.env["PORT"]), process.env["HOST"]);
process.once("SIGTERM", () => server.close());
