import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Pool } from "pg";
import { serveRole } from "../role.ts";

/**
 * What can be had at most: the least code that proves a signature and keeps the body once, with one row in one table and group commit (two
 * statements in flight, as Warren's). No request record, no job, no broker, no metrics, no limits, no outage handling.
 */
const app = Fastify({ logger: false });
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => {
  done(null, body);
});

interface Waiting {
  readonly key: string;
  readonly body: Buffer;
  readonly kept: () => void;
  readonly lost: (error: unknown) => void;
}

const insert = `insert into by_hand (key, body)
  select key, substring($4::bytea from at for size) from unnest($1::text[], $2::int[], $3::int[]) as u(key, at, size)
  on conflict (key) do nothing`;
const maxInFlight = 2;

function groupCommit(pool: Pool): (key: string, body: Buffer) => Promise<void> {
  let waiting: Waiting[] = [];
  let inFlight = 0;
  let scheduled = false;

  async function write(batch: readonly Waiting[]): Promise<void> {
    const starts: number[] = [];
    let at = 1;
    for (const { body } of batch) {
      starts.push(at);
      at += body.length;
    }
    const values = [
      batch.map(({ key }) => key),
      `{${starts.join(",")}}`,
      `{${batch.map(({ body }) => body.length).join(",")}}`,
      Buffer.concat(batch.map(({ body }) => body)),
    ];
    try {
      await pool.query({ name: "by_hand", text: insert, values });
      for (const { kept } of batch) kept();
    } catch (error) {
      for (const { lost } of batch) lost(error);
    }
    inFlight -= 1;
    schedule();
  }

  function schedule(): void {
    if (scheduled || inFlight === maxInFlight || waiting.length === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      while (inFlight < maxInFlight && waiting.length > 0) {
        const half = waiting.length < 16 ? waiting.length : Math.ceil(waiting.length / (maxInFlight - inFlight));
        const batch = waiting.slice(0, half);
        waiting = waiting.slice(half);
        inFlight += 1;
        void write(batch);
      }
    });
  }

  return (key, body) =>
    new Promise((kept, lost) => {
      waiting.push({ key, body, kept, lost });
      schedule();
    });
}

serveRole(async (command) => {
  if (command.do !== "listen") throw new Error(`unknown command ${command.do}`);
  const key = createSecretKey(Buffer.from(String(command["secret"])));
  const keep = groupCommit(new Pool({ connectionString: String(command["databaseUrl"]), max: maxInFlight }));
  app.post("/webhooks/:source", async (request, reply) => {
    const body = request.body as Buffer;
    const claimed = Buffer.from(String(request.headers["x-hub-signature-256"]));
    const proof = Buffer.from(`sha256=${createHmac("sha256", key).update(body).digest("hex")}`);
    if (claimed.length !== proof.length || !timingSafeEqual(claimed, proof)) return reply.code(401).send();
    await keep(String(request.headers["x-github-delivery"]), body);
    return reply.code(202).send();
  });
  await app.listen({ host: "127.0.0.1", port: Number(command["port"]) });
  return {};
});
