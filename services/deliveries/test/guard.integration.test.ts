import type { LookupAddress, lookup } from "node:dns";
import { expect, test } from "vitest";
import { openBench } from "./platform.ts";
import { startReceiver, status } from "./receiver.ts";

/** Each look-up of a name gets the next of its answers, the last one again and again. */
function names(answers: Readonly<Record<string, readonly string[]>>) {
  const looked: string[] = [];
  const resolve = (name: string, _options: unknown, callback: (error: null, found: LookupAddress[]) => void) => {
    const own = answers[name] ?? [];
    const address = own[Math.min(looked.filter((one) => one === name).length, own.length - 1)] ?? "";
    looked.push(name);
    setImmediate(callback, null, [{ address, family: 4 }]);
  };
  return { looked, resolve: resolve as unknown as typeof lookup };
}

const refused = (where: string) => ({
  outcome: "failed",
  reason: "ENDPOINT_ADDRESS_REFUSED",
  detail: `deliveries may not go to ${where}`,
  address: undefined,
  response: undefined,
});

// 127.0.0.2 stands for what is public, 127.0.0.1 for what is not
test("no delivery reaches an address that is not public: by a name, by a name that changes its mind, by an address, by a redirect", async () => {
  await using bench = await openBench();
  await using receiver = await startReceiver("0.0.0.0");
  const { looked, resolve } = names({
    "inside.example": ["127.0.0.1"],
    "rebinding.example": ["127.0.0.2", "127.0.0.1"],
    "redirecting.example": ["127.0.0.2"],
  });
  await bench.serve({ WARREN_DELIVERY_ALLOW: "127.0.0.2", WARREN_DELIVERY_RETRY: "20ms" }, resolve);
  receiver.answer((request, response) => {
    const away = { location: `http://127.0.0.1:${receiver.port}/inside` };
    const how = request.path === "/redirect" ? status(307, away) : status(200, { connection: "close" });
    how(request, response);
  });
  const deliverTo = async (host: string, path = "/hooks") => {
    const { endpoint } = await bench.endpoint({ url: `http://${host}:${receiver.port}${path}` });
    return { again: () => bench.deliver(endpoint.id), first: await bench.deliver(endpoint.id) };
  };
  const failure = async (id: string) => {
    expect(await bench.until(id, "failed")).toMatchObject({ attempts: 2 });
    return bench.deliveries.attempts(id, 10);
  };
  const inside = refused("inside.example (127.0.0.1)");
  expect(await failure((await deliverTo("inside.example")).first)).toMatchObject([inside, inside]);
  const literal = refused("127.0.0.1");
  expect(await failure((await deliverTo("127.0.0.1")).first)).toMatchObject([literal, literal]);

  // one look-up a connection: nothing was checked that was not used
  const rebinding = await deliverTo("rebinding.example");
  expect(await bench.until(rebinding.first, "delivered")).toMatchObject({ attempts: 1 });
  expect(looked.filter((name) => name === "rebinding.example")).toHaveLength(1);
  const rebound = refused("rebinding.example (127.0.0.1)");
  expect(await failure(await rebinding.again())).toMatchObject([rebound, rebound]);

  const redirect = { reason: "DELIVERY_REDIRECTED", address: "127.0.0.2", response: { status: 307 } };
  expect(await failure((await deliverTo("redirecting.example", "/redirect")).first)).toMatchObject([
    redirect,
    redirect,
  ]);

  expect(new Set(receiver.connections)).toEqual(new Set(["127.0.0.2"]));
  expect(receiver.received.map(({ path }) => path)).toEqual(["/hooks", "/redirect", "/redirect"]);
});
