import { once } from "node:events";
import { connect } from "node:net";
import { createWorld, startTcpProxy, type TcpProxy, type World, waitFor } from "@warren/testing";
import { describe, expect, test } from "vitest";
import { githubHeaders, jobsOf, post, prepare, requestsOf, startIngress } from "./fixture.ts";
import { githubSecret, hmacHex } from "./signed.ts";

function proxyTo(world: World): Promise<TcpProxy> {
  return startTcpProxy({ targetPort: Number(new URL(world.databaseUrl).port) });
}

/** The head of a request whose body of two bytes is still to come. */
function headOf(delivery: string): string {
  const headers = Object.entries(githubHeaders("{}", delivery)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n${headers.join("")}\r\n`;
}

describe("while the database is away", () => {
  test("webhooks are answered 503 with the time to come again, and accepted as soon as it is back", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using proxy = await proxyTo(world);
    await using running = await startIngress(world, { databaseUrl: proxy.through(world.databaseUrl) });
    expect((await post(running, "github", githubHeaders("{}", "d-1"), "{}")).status).toBe(202);

    await proxy.refuse();
    const refused = await Promise.all(
      ["d-2", "d-3", "d-4"].map((delivery) => post(running, "github", githubHeaders("{}", delivery), "{}")),
    );
    for (const answer of refused) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toBe("5");
      expect(answer.body["code"]).toBe("WEBHOOK_STORE_UNAVAILABLE");
    }
    expect((await post(running, "github", githubHeaders("{}", "f", "wrong"), "{}")).status).toBe(401);

    await proxy.heal();
    await waitFor(async () => (await post(running, "github", githubHeaders("{}", "d-2"), "{}")).status === 202);
    expect(await jobsOf(running)).toHaveLength(2);
    expect(running.announced).toHaveLength(2);
  });

  test("a database that swallows everything does not hold its senders longer than the deadline", async () => {
    await using world = await createWorld({ leaks: "ignore" });
    await prepare(world);
    await using proxy = await proxyTo(world);
    await using running = await startIngress(world, {
      databaseUrl: proxy.through(world.databaseUrl),
      storeDeadlineMs: 300,
    });
    expect((await post(running, "github", githubHeaders("{}", "d-1"), "{}")).status).toBe(202);
    proxy.blackhole();
    const started = performance.now();
    expect((await post(running, "github", githubHeaders("{}", "d-2"), "{}")).status).toBe(503);
    // without the setting it would be ten seconds
    expect(performance.now() - started).toBeLessThan(9_000);

    await proxy.heal();
    // the statement that nobody waited for may have been committed; the repetition is then a duplicate, and never a second job
    await waitFor(async () => (await post(running, "github", githubHeaders("{}", "d-2"), "{}")).status === 202);
    expect(await jobsOf(running)).toHaveLength(2);
  });
});

describe("under overload", () => {
  test("a request more than may be in flight is answered 503 at once, and taken again when there is room", async () => {
    await using world = await createWorld({ leaks: "ignore" });
    await prepare(world);
    await using proxy = await proxyTo(world);
    const databaseUrl = proxy.through(world.databaseUrl);
    await using running = await startIngress(world, { maxInFlight: 1, databaseUrl, storeDeadlineMs: 1_000 });
    // one whose body is still to come is not in flight
    const slow = connect(running.port, "127.0.0.1");
    await once(slow, "connect");
    const arrived = once(running.ingress.app.server, "request");
    slow.write(headOf("slow"));
    await arrived;
    expect((await post(running, "github", githubHeaders("{}", "d-0"), "{}")).status).toBe(202);

    proxy.blackhole();
    const answers = await Promise.all(
      ["d-1", "d-2"].map((delivery) => post(running, "github", githubHeaders("{}", delivery), "{}")),
    );
    const told = answers.map(({ body, headers }) => [body["code"], headers.get("retry-after")]);
    expect(told).toContainEqual(["WEBHOOK_OVERLOADED", "1"]);
    expect(told).toContainEqual(["WEBHOOK_STORE_UNAVAILABLE", "5"]);

    await proxy.heal();
    await waitFor(async () => (await post(running, "github", githubHeaders("{}", "d-1"), "{}")).status === 202);
    const answer = once(slow, "data");
    slow.write("{}");
    expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 202 /);
    slow.destroy();
  });

  test("bodies take no more memory together than they may, and give it back", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world, { maxBufferedBytes: 3_000 });
    const large = JSON.stringify({ text: "x".repeat(4_000) });
    expect((await post(running, "github", githubHeaders(large, "large"), large)).status).toBe(503);
    const body = JSON.stringify({ text: "x".repeat(2_000) });
    for (const delivery of ["a", "b", "c"]) {
      expect((await post(running, "github", githubHeaders(body, delivery), body)).status).toBe(202);
      expect((await post(running, "github", githubHeaders(body, delivery, "wrong"), body)).status).toBe(401);
    }
  });
});

describe("at shutdown", () => {
  test("a request under way is finished, stored and answered, and its connection closed with the answer", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const idle = connect(running.port, "127.0.0.1");
    const busy = connect(running.port, "127.0.0.1");
    await Promise.all([once(idle, "connect"), once(busy, "connect")]);
    const arrived = once(running.ingress.app.server, "request");
    busy.write(headOf("last"));
    await arrived;

    const idleClosed = once(idle.resume(), "close");
    const quiet = running.ingress.quiet();
    await idleClosed;
    const late = connect(running.port, "127.0.0.1");
    await once(late, "error");

    const answer = once(busy, "data");
    busy.write("{}");
    expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 202 [\s\S]*connection: close/i);
    await once(busy, "close");
    await quiet;
    expect(await requestsOf(running)).toMatchObject([{ dedupe_key: "last", status: "accepted" }]);
  });

  test("under load, every request that was answered 2xx is there, with its job", async () => {
    await using world = await createWorld();
    await prepare(world);
    await using running = await startIngress(world);
    const stored: string[] = [];
    let refused = 0;
    const senders = Array.from({ length: 16 }, async (_, sender) => {
      for (let count = 0; ; count++) {
        const delivery = `d-${sender}-${count}`;
        const body = JSON.stringify({ delivery });
        const headers = {
          ...githubHeaders(body, delivery),
          "x-hub-signature-256": `sha256=${hmacHex(githubSecret, body)}`,
        };
        try {
          const { status } = await post(running, "github", headers, body);
          if (status === 202) stored.push(delivery);
          else refused += 1;
        } catch {
          return;
        }
      }
    });
    await waitFor(() => stored.length > 200);
    await running.ingress.quiet();
    await Promise.all(senders);
    expect(refused).toBe(0);
    const requests = await requestsOf(running);
    expect(new Set(requests.map((request) => request["dedupe_key"]))).toEqual(new Set(stored));
    expect(await jobsOf(running)).toHaveLength(stored.length);
  });
});
