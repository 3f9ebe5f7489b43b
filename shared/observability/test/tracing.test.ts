import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { currentContext, formatTraceparent, openTracing, parseTraceparent, runWithContext } from "../src/index.ts";

const sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/** Hex digits, not all zero. */
const hexId = (length: number) =>
  fc
    .array(fc.integer({ min: 0, max: 15 }), { minLength: length, maxLength: length })
    .map((digits) => digits.map((digit) => digit.toString(16)).join(""))
    .filter((text) => !/^0+$/.test(text));

class Kept extends InMemorySpanExporter {
  readonly spans: ReturnType<InMemorySpanExporter["getFinishedSpans"]> = [];
  override export(...[spans, done]: Parameters<InMemorySpanExporter["export"]>): void {
    this.spans.push(...spans);
    super.export(spans, done);
  }
}

/** Runs with tracing and gives the spans that were exported by its end. */
async function traced(sampleRatio: number, run: (tracing: ReturnType<typeof openTracing>) => Promise<unknown>) {
  const exporter = new Kept();
  {
    await using tracing = openTracing({ service: "test", sampleRatio, exporter, random: () => 0.5 });
    await run(tracing);
  }
  return exporter.spans;
}

describe("traceparent", () => {
  test.for([
    { header: sampled, sampled: true },
    { header: unsampled, sampled: false },
    { header: ` ${sampled} `, sampled: true },
    { header: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", sampled: true },
    { header: "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-holds", sampled: true },
  ])("$header is read", ({ header, sampled }) => {
    expect(parseTraceparent(header)).toEqual({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      sampled,
    });
  });

  test.for([
    undefined,
    "",
    "nonsense",
    sampled.toUpperCase(),
    `${sampled}-more`,
    sampled.replace("00-", "ff-"),
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
  ])("%s is not read", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });

  test("comes back as it was written", () => {
    fc.assert(
      fc.property(hexId(32), hexId(16), fc.boolean(), (traceId, spanId, flag) => {
        const context = { traceId, spanId, sampled: flag };
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
      }),
    );
  });
});

describe("a span", () => {
  test("follows the trace of the context, and puts itself into it for what runs inside", async () => {
    const spans = await traced(0, (tracing) =>
      runWithContext({ correlationId: "c", traceparent: sampled }, () =>
        tracing.span("outer", { kind: "server", attributes: { a: 1 } }, async (outer) => {
          expect(currentContext()).toEqual({ correlationId: "c", traceparent: outer.traceparent });
          await tracing.span("inner", { kind: "client" }, () => Promise.resolve());
        }),
      ),
    );
    expect(spans.map((span) => [span.name, span.parentSpanContext?.spanId])).toEqual([
      ["inner", spans[1]?.spanContext().spanId],
      ["outer", "b7ad6b7169203331"],
    ]);
    expect(spans.map((span) => span.spanContext().traceId)).toEqual(Array(2).fill("0af7651916cd43dd8448eb211c80319c"));
  });

  test.for([
    { ratio: 1, parent: unsampled, links: undefined, made: 0, why: "its parent is not sampled" },
    { ratio: 0, parent: sampled, links: undefined, made: 1, why: "its parent is sampled" },
    { ratio: 0.6, parent: undefined, links: undefined, made: 1, why: "the ratio says so" },
    { ratio: 0.4, parent: undefined, links: undefined, made: 0, why: "the ratio says not" },
    { ratio: 0, parent: undefined, links: [unsampled, sampled], made: 1, why: "a creator is sampled" },
    { ratio: 1, parent: undefined, links: [unsampled], made: 0, why: "no creator is sampled" },
  ])("is made $made times: $why", async ({ ratio, parent, links, made }) => {
    const spans = await traced(ratio, (tracing) =>
      tracing.span("s", { kind: "consumer", parent, ...(links === undefined ? {} : { links }) }, (span) => {
        expect(span.sampled).toBe(made === 1);
        expect(parseTraceparent(span.traceparent)?.sampled).toBe(made === 1);
        return Promise.resolve();
      }),
    );
    expect(spans).toHaveLength(made);
  });

  test("of processing begins a trace of its own, linked to its creator", async () => {
    const spans = await traced(0, (tracing) =>
      tracing.span("process mail", { kind: "consumer", links: [sampled, undefined] }, () => Promise.resolve()),
    );
    expect(spans[0]?.parentSpanContext).toBeUndefined();
    expect(spans[0]?.links.map((link) => link.context.spanId)).toEqual(["b7ad6b7169203331"]);
    expect(spans[0]?.spanContext().traceId).not.toBe("0af7651916cd43dd8448eb211c80319c");
  });

  test("of an unsampled root is passed on as unsampled, the same trace all the way down", async () => {
    await traced(0, (tracing) =>
      tracing.span("root", { kind: "server" }, async (root) => {
        const ids: (string | undefined)[] = [];
        await tracing.span(
          "child",
          { kind: "client" },
          (child) => void ids.push(parseTraceparent(child.traceparent)?.traceId),
        );
        expect(ids).toEqual([parseTraceparent(root.traceparent)?.traceId]);
      }),
    );
  });

  test("records what was thrown by its code, never its message, and throws it on", async () => {
    const error = Object.assign(new Error("card 4242 of Jane Roe"), { code: "PROVIDER_REJECTED" });
    const spans = await traced(1, async (tracing) => {
      await expect(tracing.span("s", { kind: "client" }, () => Promise.reject(error))).rejects.toBe(error);
    });
    expect(spans[0]).toMatchObject({ status: { code: 2 }, attributes: { "error.type": "PROVIDER_REJECTED" } });
    expect(JSON.stringify([spans[0]?.attributes, spans[0]?.events, spans[0]?.status])).not.toContain("Jane");
  });

  test("is sent to a collector over OTLP, at the latest when tracing is let go", async () => {
    const received: { path: string | undefined; body: string }[] = [];
    const collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        received.push({ path: request.url, body: Buffer.concat(chunks).toString() });
        response.writeHead(200, { "content-type": "application/json" }).end("{}");
      });
    }).listen(0, "127.0.0.1");
    await once(collector, "listening");
    const { port } = collector.address() as AddressInfo;
    {
      await using tracing = openTracing({
        service: "test-service",
        sampleRatio: 1,
        endpoint: `http://127.0.0.1:${port}/`,
      });
      await tracing.span("sent span", { kind: "server" }, () => Promise.resolve());
    }
    collector.close();
    expect(received.map((one) => one.path)).toEqual(["/v1/traces"]);
    expect(received[0]?.body).toContain("sent span");
    expect(received[0]?.body).toContain("test-service");
  });

  test("is never made without an endpoint, and the incoming traceparent still travels", async () => {
    await using tracing = openTracing({ service: "test", sampleRatio: 1 });
    expect(tracing.enabled).toBe(false);
    await tracing.span("s", { kind: "consumer", links: [sampled] }, (span) => {
      expect([span.sampled, currentContext()?.traceparent]).toEqual([false, sampled]);
    });
  });
});
