import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { afterEach, describe, expect, test } from "vitest";
import { type MailSink, type MailSinkOptions, type MailSummary, startMailSink } from "../src/index.ts";

const cleanups: (() => PromiseLike<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function sinkFor(options: Partial<MailSinkOptions> = {}): Promise<MailSink> {
  const sink = await startMailSink({ smtpPort: 0, httpPort: 0, ...options });
  cleanups.push(() => sink[Symbol.asyncDispose]());
  return sink;
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "warren-sandbox-"));
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

function send(sink: MailSink, mail: Readonly<Record<string, unknown>> = {}): Promise<{ readonly response: string }> {
  const transport = createTransport(`${sink.smtpUrl}?connectionTimeout=2000`);
  return transport
    .sendMail({ from: "warren@example.com", to: "ann@example.com", subject: "Hello", text: "Hi there", ...mail })
    .finally(() => transport.close());
}

function get(sink: MailSink, path: string): Promise<Response> {
  return fetch(sink.httpUrl + path);
}

async function getJson<T>(sink: MailSink, path: string): Promise<T> {
  return (await (await get(sink, path)).json()) as T;
}

describe("the mail sink", () => {
  test("keeps a mail and shows it as JSON, as text, as headers and raw", async () => {
    const sink = await sinkFor();
    await send(sink, {
      subject: "Счёт оплачен",
      html: "<b>Hi</b>",
      messageId: "<one@example.com>",
      headers: { "X-Correlation-Id": "c-1" },
      attachments: [{ filename: "a.txt", content: "abc" }],
    });
    const { messages } = await getJson<{ messages: MailSummary[] }>(sink, "/api/messages?to=ANN@example.com");
    expect(messages).toMatchObject([
      {
        id: 1,
        from: "warren@example.com",
        to: ["ann@example.com"],
        subject: "Счёт оплачен",
        messageId: "<one@example.com>",
        correlationId: "c-1",
      },
    ]);
    const one = await getJson<{ text: string; headers: unknown[] }>(sink, "/api/messages/1");
    expect(one).toMatchObject({
      html: expect.stringContaining("<b>Hi</b>"),
      attachments: [{ filename: "a.txt", size: 3 }],
    });
    expect(one.text).toContain("Hi there");
    expect(one.headers).toContainEqual({ name: expect.stringMatching(/^X-Correlation-Id$/i), value: "c-1" });
    expect(await (await get(sink, "/api/messages/1/raw")).text()).toContain("Message-ID: <one@example.com>");
    expect(sink.counts()).toMatchObject({ accepted: 1, messages: 1, uniqueMessageIds: 1 });
  });

  test("filters by subject, message id, correlation id, time and position", async () => {
    const sink = await sinkFor();
    await send(sink, { subject: "First", messageId: "<1@x>" });
    await send(sink, { subject: "Second", messageId: "<2@x>", headers: { "X-Correlation-Id": "c-2" } });
    const found = async (query: string): Promise<string[]> => {
      const { messages } = await getJson<{ messages: MailSummary[] }>(sink, `/api/messages?${query}`);
      return messages.map(({ subject }) => subject);
    };
    expect(await found("order=newest")).toEqual(["Second", "First"]);
    expect(await found("subject=first")).toEqual(["First"]);
    expect(await found("messageId=%3C2%40x%3E")).toEqual(["Second"]);
    expect(await found("correlationId=c-2")).toEqual(["Second"]);
    expect(await found("after=1")).toEqual(["Second"]);
    expect(await found("since=2999-01-01")).toEqual([]);
    expect((await get(sink, "/api/messages?limit=none")).status).toBe(400);
  });

  test("shows hostile mail without letting it run: escaped in pages, sandboxed as HTML", async () => {
    const sink = await sinkFor();
    await send(sink, { subject: "<script>alert(1)</script>", html: "<script>alert(2)</script><p>x</p>" });
    const list = await (await get(sink, "/")).text();
    expect(list).toContain("&lt;script&gt;alert(1)");
    expect(list).not.toContain("<script>alert");
    const page = await get(sink, "/messages/1");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await page.text()).toContain('<iframe sandbox title="The mail as HTML" src="/messages/1/html">');
    const body = await get(sink, "/messages/1/html");
    expect(body.headers.get("content-security-policy")).toMatch(/^sandbox; default-src 'none'/);
    expect((await get(sink, "/messages/99")).status).toBe(404);
  });

  test("refuses requests that a page of another site makes", async () => {
    const sink = await sinkFor();
    const answer = await fetch(`${sink.httpUrl}/api/messages`, {
      method: "DELETE",
      headers: { "sec-fetch-site": "cross-site" },
    });
    expect(answer.status).toBe(403);
  });

  test("keeps its mails over a restart, deleted ones stay deleted, and a torn end is cut off", async () => {
    const dataDir = await folder();
    const first = await startMailSink({ smtpPort: 0, httpPort: 0, dataDir });
    for (const subject of ["one", "two", "three"]) await send(first, { subject });
    await fetch(`${first.httpUrl}/api/messages/2`, { method: "DELETE" });
    await first[Symbol.asyncDispose]();
    const { appendFile, readdir } = await import("node:fs/promises");
    const [segment = ""] = await readdir(dataDir);
    await appendFile(join(dataDir, segment), '{"id":4,"receivedAt":"2026');

    const second = await sinkFor({ dataDir });
    expect(second.messages().map(({ subject }) => subject)).toEqual(["one", "three"]);
    await send(second, { subject: "four" });
    expect(second.messages().at(-1)).toMatchObject({ id: 4, subject: "four" });
    expect((await second.raw(4))?.toString()).toContain("Subject: four");
  });

  test("lets the oldest mails go when there are too many", async () => {
    const sink = await sinkFor({ maxMessages: 40 });
    const transport = createTransport(`${sink.smtpUrl}?pool=true&maxConnections=1&maxMessages=Infinity`);
    for (let index = 1; index <= 50; index++) {
      await transport.sendMail({ from: "a@example.com", to: "b@example.com", subject: `mail ${index}`, text: "x" });
    }
    transport.close();
    const subjects = sink.messages().map(({ subject }) => subject);
    expect(subjects.length).toBeLessThanOrEqual(40);
    expect(subjects.length).toBeGreaterThanOrEqual(36);
    expect(subjects.at(-1)).toBe("mail 50");
  });

  test("answers 552 to a mail that is too large and goes on", async () => {
    const sink = await sinkFor({ maxMessageBytes: 2000 });
    await expect(send(sink, { text: "x".repeat(5000) })).rejects.toMatchObject({ responseCode: 552 });
    await send(sink);
    expect(sink.counts()).toMatchObject({ accepted: 1, rejected: 1 });
  });
});

describe("a fault of the mail sink", () => {
  test("down: connections are refused until it is healed, on the same port", async () => {
    const sink = await sinkFor();
    await sink.setFault({ kind: "down" });
    await expect(send(sink)).rejects.toMatchObject({ code: expect.stringMatching(/ECONNREFUSED|ESOCKET|ECONNECTION/) });
    await sink.setFault({ kind: "none" });
    await send(sink);
    expect(sink.messages()).toHaveLength(1);
  });

  test("slow: the answer to DATA waits", async () => {
    const sink = await sinkFor();
    await sink.setFault({ kind: "slow", delayMs: 150 });
    const started = performance.now();
    await send(sink);
    expect(performance.now() - started).toBeGreaterThanOrEqual(145);
  });

  test.for([
    { code: 451, stage: "data" },
    { code: 550, stage: "rcpt" },
  ] as const)("reject: $code to $stage, as often as asked, then it heals", async ({ code, stage }) => {
    const sink = await sinkFor();
    await sink.setFault({ kind: "reject", code, stage, message: "not today", times: 1 });
    await expect(send(sink)).rejects.toMatchObject({
      responseCode: code,
      response: expect.stringContaining("not today"),
    });
    await send(sink);
    expect(sink.counts()).toMatchObject({ accepted: 1, rejected: 1 });
  });

  test.for([
    { keep: true, kept: 1 },
    { keep: false, kept: 0 },
  ])("drop: the connection is cut after DATA; with keep $keep, $kept mails are kept", async ({ keep, kept }) => {
    const sink = await sinkFor();
    await sink.setFault({ kind: "drop", keep });
    await expect(send(sink)).rejects.toMatchObject({ code: "ECONNECTION" });
    expect(sink.messages()).toHaveLength(kept);
    expect(sink.counts()).toMatchObject({ accepted: 0, dropped: 1 });
  });

  test("can be set over HTTP, and an unknown one is refused", async () => {
    const sink = await sinkFor();
    const put = (fault: unknown): Promise<Response> =>
      fetch(`${sink.httpUrl}/api/fault`, {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(fault),
      });
    expect(await (await put({ kind: "reject", code: 550, times: 1 })).json()).toEqual({
      kind: "reject",
      code: 550,
      times: 1,
    });
    await expect(send(sink)).rejects.toMatchObject({ responseCode: 550 });
    expect((await put({ kind: "explode" })).status).toBe(400);
    await put({ kind: "down" });
    await expect(send(sink)).rejects.toThrow("ECONNREFUSED");
    await fetch(`${sink.httpUrl}/api/fault`, { method: "DELETE" });
    await send(sink);
  });
});
