import Fastify from "fastify";
import { serveRole } from "../role.ts";

/** The limit of the ingress benchmark: Fastify that reads the raw body and answers 202, and does nothing else. */
const app = Fastify({ logger: false });
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => {
  done(null, body);
});
app.post("/webhooks/:source", (_request, reply) => reply.code(202).send());

serveRole(async (command) => {
  if (command.do !== "listen") throw new Error(`unknown command ${command.do}`);
  await app.listen({ host: "127.0.0.1", port: Number(command["port"]) });
  return {};
});
