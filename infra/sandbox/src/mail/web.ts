import { STATUS_CODES } from "node:http";
import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import PostalMime from "postal-mime";
import { z } from "zod";
import { type FaultSwitch, mailFault } from "./faults.ts";
import type { Html } from "./html.ts";
import type { MailSummary } from "./mail-log.ts";
import type { MailStore } from "./mail-store.ts";
import { listPage, mailPage, mailPolicy, notFoundPage, pagePolicy, script, stylesheet } from "./pages.ts";
import type { SmtpListener } from "./smtp.ts";

export interface WebOptions {
  readonly store: MailStore;
  readonly faults: FaultSwitch;
  readonly smtp: SmtpListener;
}

const optionalText = z.string().min(1).optional();
const listQuery = z.strictObject({
  to: optionalText,
  subject: optionalText,
  messageId: optionalText,
  correlationId: optionalText,
  since: z.coerce.date().optional(),
  after: z.coerce.number().int().optional(),
  order: z.enum(["oldest", "newest"]).default("newest"),
  limit: z.coerce.number().int().min(1).max(5000).default(50),
});
const pageQuery = z.object({ search: z.string().default(""), before: z.coerce.number().int().optional() });
const mailParams = z.object({ id: z.coerce.number().int() });
const pageSize = 100;

/** The mailbox over HTTP: pages to read the mail, and a JSON API for programs. */
export function buildMailWeb({ store, faults, smtp }: WebOptions): FastifyInstance {
  const web = Fastify({ logger: false, forceCloseConnections: true });
  web.addHook("onRequest", async (request, reply) => {
    reply
      .header("x-content-type-options", "nosniff")
      .header("referrer-policy", "no-referrer")
      .header("cache-control", "no-store");
    // A page of another site must neither read nor change the mailbox, whatever name it resolves to this address.
    const site = request.headers["sec-fetch-site"];
    if (site === "cross-site" || (site === "same-site" && request.method !== "GET")) {
      return problem(reply, 403, "requests from other sites are refused");
    }
    return undefined;
  });
  web.setErrorHandler((error, _request, reply) => {
    if (error instanceof z.ZodError) return problem(reply, 400, z.prettifyError(error));
    const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    return problem(reply, status, error instanceof Error ? error.message : String(error));
  });

  web.get("/livez", () => ({ status: "ok" }));
  web.get("/api/messages", (request) => {
    const { order, limit, ...given } = listQuery.parse(request.query);
    const filter = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const found = store.find(filter);
    return {
      total: found.length,
      messages: order === "oldest" ? found.slice(0, limit) : found.slice(-limit).toReversed(),
    };
  });
  web.get("/api/messages/:id", async (request, reply) => {
    const mail = await read(request.params);
    if (mail === undefined) return problem(reply, 404, "there is no such mail");
    const { headers, text, html, attachments } = await PostalMime.parse(mail.raw);
    return {
      ...mail.summary,
      headers: headers.map(({ originalKey, value }) => ({ name: originalKey, value })),
      text: text ?? null,
      html: html ?? null,
      attachments: attachments.map(({ filename, mimeType, content }) => ({
        filename,
        mimeType,
        size: typeof content === "string" ? content.length : content.byteLength,
      })),
    };
  });
  web.get("/api/messages/:id/raw", async (request, reply) => {
    const mail = await read(request.params);
    if (mail === undefined) return problem(reply, 404, "there is no such mail");
    return reply.header("content-disposition", "attachment").type("message/rfc822").send(mail.raw);
  });
  web.get("/api/counts", () => {
    const all = store.find({});
    return { ...store.size(), uniqueMessageIds: new Set(all.map(({ messageId }) => messageId)).size, ...smtp.counts };
  });
  web.delete("/api/messages", async () => ({ deleted: await store.clear() }));
  web.delete("/api/messages/:id", async (request, reply) => {
    const deleted = await store.remove(mailParams.parse(request.params).id);
    return deleted ? { deleted: 1 } : problem(reply, 404, "there is no such mail");
  });
  web.get("/api/fault", () => faults.current);
  web.put("/api/fault", async (request) => {
    faults.set(mailFault.parse(request.body));
    await smtp.followFault();
    return faults.current;
  });
  web.delete("/api/fault", async () => {
    faults.set({ kind: "none" });
    await smtp.followFault();
    return faults.current;
  });

  web.get("/mailbox.css", (_request, reply) => reply.type("text/css; charset=utf-8").send(stylesheet));
  web.get("/mailbox.js", (_request, reply) => reply.type("text/javascript; charset=utf-8").send(script));
  web.get("/", (request, reply) => {
    const { search, before } = pageQuery.parse(request.query);
    const term = search.trim();
    const found = term === "" ? store.find({}) : store.find(term.includes("@") ? { to: term } : { subject: term });
    const older = before === undefined ? found : found.filter(({ id }) => id < before);
    const mails = older.slice(-pageSize).toReversed();
    const last = mails.at(-1);
    const more = older.length > mails.length && last !== undefined;
    const link = more ? { older: `/?search=${encodeURIComponent(term)}&before=${last.id}` } : {};
    return show(
      reply,
      200,
      listPage({ mails, total: found.length, search: term, newestId: store.size().newestId, ...link }),
    );
  });
  web.get("/messages/:id", async (request, reply) => {
    const mail = await read(request.params);
    if (mail === undefined) return show(reply, 404, notFoundPage());
    return show(reply, 200, mailPage(mail.summary, await PostalMime.parse(mail.raw)));
  });
  web.get("/messages/:id/html", async (request, reply) => {
    const mail = await read(request.params);
    if (mail === undefined) return show(reply, 404, notFoundPage());
    const { html } = await PostalMime.parse(mail.raw);
    return reply
      .header("content-security-policy", mailPolicy)
      .type("text/html; charset=utf-8")
      .send(html ?? "");
  });

  async function read(params: unknown): Promise<{ readonly summary: MailSummary; readonly raw: Buffer } | undefined> {
    const { id } = mailParams.parse(params);
    const summary = store.get(id);
    const raw = await store.raw(id);
    return summary === undefined || raw === undefined ? undefined : { summary, raw };
  }
  return web;
}

function show(reply: FastifyReply, status: number, content: Html): FastifyReply {
  return reply
    .code(status)
    .header("content-security-policy", pagePolicy)
    .type("text/html; charset=utf-8")
    .send(content.text);
}

function problem(reply: FastifyReply, status: number, detail: string): FastifyReply {
  const body = { type: "about:blank", title: STATUS_CODES[status] ?? "Error", status, detail };
  return reply.code(status).type("application/problem+json").send(body);
}
