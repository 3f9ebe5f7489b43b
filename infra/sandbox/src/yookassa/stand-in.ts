import { timingSafeEqual } from "node:crypto";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z } from "zod";
import { answerApi, failure, move } from "./api.ts";
import { Book } from "./book.ts";
import { type YookassaFault, YookassaFaultSwitch, yookassaFault } from "./faults.ts";
import { type Answer, IdempotenceMemory } from "./idempotence.ts";
import { type Payment, paymentIn, type SeededPayment, seededPayment } from "./payment.ts";

export interface YookassaOptions {
  /** 0 takes a free port. */
  readonly port: number;
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default `sandbox-shop`. */
  readonly shopId?: string;
  /** Default `sandbox-secret`. */
  readonly secretKey?: string;
  /** Folder that keeps the payments over restarts; without it they go with the process. */
  readonly dataDir?: string;
  /** For tests of the 24 hours that idempotence keys live. Default `Date.now`. */
  readonly now?: () => number;
}

export interface YookassaCall {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly idempotenceKey: string | undefined;
}

/** A local YooKassa: its API v3 for payments and refunds, with Basic auth and idempotence keys; it fails on request. */
export interface YookassaStandIn extends AsyncDisposable {
  /** With `/v3`: what the real one has at `https://api.yookassa.ru/v3`. */
  readonly apiUrl: string;
  readonly port: number;
  readonly shopId: string;
  readonly secretKey: string;
  /** Puts payments in, in any state, as if they had been made and paid. */
  seed(payments: readonly SeededPayment[]): readonly Payment[];
  payment(id: string): Payment | undefined;
  /** The last 10,000 calls of the API, oldest first. */
  calls(): readonly YookassaCall[];
  setFault(fault: YookassaFault): void;
}

const keptCalls = 10_000;

/** Starts the stand-in. Throws the operating system's error (`EADDRINUSE`) when the port cannot be had. */
export async function startYookassa(options: YookassaOptions): Promise<YookassaStandIn> {
  const { host = "127.0.0.1", shopId = "sandbox-shop", secretKey = "sandbox-secret", now = Date.now } = options;
  const book = new Book(options.dataDir);
  const faults = new YookassaFaultSwitch();
  const memory = new IdempotenceMemory(now);
  const calls: YookassaCall[] = [];
  const origin = (): { shopId: string; now: Date } => ({ shopId, now: new Date(now()) });
  const expected = Buffer.from(`Basic ${Buffer.from(`${shopId}:${secretKey}`).toString("base64")}`);
  const seed = (payments: readonly SeededPayment[]): readonly Payment[] => {
    const made = payments.map((given) => paymentIn(seededPayment.parse(given), origin()));
    book.putPayments(made.map((payment) => ({ payment, capture: true })));
    return made;
  };

  const web = Fastify({ logger: false, forceCloseConnections: true, bodyLimit: 32 * 1024 * 1024 });
  // The API judges the body itself; an empty one is fine for capture and cancel.
  web.removeContentTypeParser("application/json");
  web.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  web.all("/v3/*", async (request, reply) => {
    const path = request.url.slice("/v3".length).split("?")[0] ?? "";
    const fault = faults.strike(request.method);
    if (fault.kind === "slow") await sleep(fault.delayMs);
    const answer = faulty(fault) ?? judge(request, path);
    if (fault.kind === "error" && fault.happens === true) judge(request, path);
    const key = request.headers["idempotence-key"];
    calls.push({
      method: request.method,
      path,
      status: answer.status,
      idempotenceKey: typeof key === "string" ? key : undefined,
    });
    if (calls.length > keptCalls) calls.shift();
    if (fault.kind === "drop") {
      reply.hijack();
      request.raw.socket.destroy();
      return;
    }
    if (fault.kind === "rate-limit" && fault.retryAfterSeconds !== undefined) {
      reply.header("retry-after", String(fault.retryAfterSeconds));
    }
    await reply.code(answer.status).send(answer.body);
  });

  /** Authentication, idempotence, then the API itself. */
  function judge(request: FastifyRequest, path: string): Answer {
    const given = Buffer.from(request.headers.authorization ?? "");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return failure(401, "invalid_credentials", "Basic auth with the shop's id and secret key is needed.");
    }
    const text = typeof request.body === "string" ? request.body : "";
    const body = parseJson(text);
    if (body === undefined) return failure(400, "invalid_request", "The body is not JSON.");
    const query = request.query as Readonly<Record<string, string | undefined>>;
    const call = { method: request.method, path, query, body, origin: origin() };
    if (request.method !== "POST") return answerApi(book, call);

    const key = request.headers["idempotence-key"];
    if (typeof key !== "string" || key === "" || key.length > 64) {
      return failure(400, "invalid_request", "Idempotence-Key of 1 to 64 signs is needed.", "Idempotence-Key");
    }
    const earlier = memory.recall(key, path + text);
    if (earlier === "conflict") {
      return failure(400, "invalid_request", "This Idempotence-Key was used with other data.", "Idempotence-Key");
    }
    if (earlier !== undefined) return earlier;
    const answer = answerApi(book, call);
    if (answer.status === 200) memory.remember(key, path + text, answer);
    return answer;
  }

  addControls(web, {
    seed,
    faults,
    calls,
    move: (id, how) => move(book, id, how, origin()),
    clear: () => book.clear(),
  });
  await web.listen({ host, port: options.port });
  const { port } = web.server.address() as AddressInfo;
  return {
    apiUrl: `http://127.0.0.1:${port}/v3`,
    port,
    shopId,
    secretKey,
    seed,
    payment: (id) => book.payment(id)?.payment,
    calls: () => [...calls],
    setFault: (fault) => faults.set(fault),
    [Symbol.asyncDispose]: () => web.close(),
  };
}

interface Controls {
  readonly seed: (payments: readonly SeededPayment[]) => readonly Payment[];
  readonly faults: YookassaFaultSwitch;
  readonly calls: readonly YookassaCall[];
  readonly move: (id: string, how: "pay" | "cancel") => Answer;
  readonly clear: () => void;
}

/** What tests and the demo steer it with; the real one has nothing of this. */
function addControls(web: FastifyInstance, { seed, faults, calls, move: movePayment, clear }: Controls): void {
  web.setErrorHandler((error, _request, reply) => {
    if (error instanceof z.ZodError) return reply.code(400).send({ error: z.prettifyError(error) });
    return reply.code(500).send({ error: error instanceof Error ? error.message : String(error) });
  });
  web.get("/livez", () => ({ status: "ok" }));
  web.post("/sandbox/payments", (request) => ({
    seeded: seed(z.array(seededPayment).max(50_000).parse(bodyOf(request))).length,
  }));
  web.delete("/sandbox/payments", () => {
    clear();
    return { cleared: true };
  });
  for (const how of ["pay", "cancel"] as const) {
    web.post(`/sandbox/payments/:id/${how}`, (request, reply) => {
      const { id } = z.object({ id: z.string() }).parse(request.params);
      return send(reply, movePayment(id, how));
    });
  }
  web.get("/sandbox/calls", () => calls);
  web.get("/sandbox/fault", () => faults.current);
  web.put("/sandbox/fault", (request) => {
    faults.set(yookassaFault.parse(bodyOf(request)));
    return faults.current;
  });
  web.delete("/sandbox/fault", () => {
    faults.set({ kind: "none" });
    return faults.current;
  });
}

function faulty(fault: YookassaFault): Answer | undefined {
  if (fault.kind === "rate-limit") return failure(429, "too_many_requests", "Too many requests.");
  if (fault.kind === "error") {
    return failure(fault.status, fault.status >= 500 ? "internal_server_error" : "invalid_request", "As requested.");
  }
  return undefined;
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  return reply.code(answer.status).send(answer.body);
}

function bodyOf(request: FastifyRequest): unknown {
  return parseJson(typeof request.body === "string" ? request.body : "");
}

function parseJson(text: string): unknown {
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
