/** What the management plugin says about a queue; only the fields that tests read. */
export interface QueueFacts {
  readonly name: string;
  readonly messages: number;
  readonly consumers: number;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/**
 * A thin client of RabbitMQ's management HTTP API, for what AMQP itself cannot do: make a vhost, cut a client's connection, read a
 * queue's arguments. Its counters lag by up to five seconds; for exact depths use a passive declare.
 *
 * Source: https://www.rabbitmq.com/docs/management#http-api
 */
export class Management {
  readonly user: string;
  readonly #base: string;
  readonly #authorization: string;

  /** @param url `http://user:password@host:port` */
  constructor(url: string) {
    const parsed = new URL(url);
    this.user = decodeURIComponent(parsed.username);
    const password = decodeURIComponent(parsed.password);
    this.#authorization = `Basic ${Buffer.from(`${this.user}:${password}`).toString("base64")}`;
    this.#base = `${parsed.protocol}//${parsed.host}/api`;
  }

  /** One call; answers the parsed body, or `undefined` for 404 and for an empty body. Throws on any other refusal. */
  async request(method: "GET" | "PUT" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: { authorization: this.#authorization, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`RabbitMQ management: ${method} ${path} answered ${response.status}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  async version(): Promise<string> {
    const overview = await this.request("GET", "/overview");
    return (overview as { readonly rabbitmq_version: string }).rabbitmq_version;
  }

  /** Makes the vhost and lets this client's user in. */
  async createVhost(vhost: string): Promise<void> {
    const name = encodeURIComponent(vhost);
    await this.request("PUT", `/vhosts/${name}`, {});
    const everything = { configure: ".*", write: ".*", read: ".*" };
    await this.request("PUT", `/permissions/${name}/${encodeURIComponent(this.user)}`, everything);
  }

  /** Deletes the vhost with all in it; the broker closes the connections that are still open to it. */
  async deleteVhost(vhost: string): Promise<void> {
    await this.request("DELETE", `/vhosts/${encodeURIComponent(vhost)}`);
  }

  async queue(vhost: string, name: string): Promise<QueueFacts | undefined> {
    const facts = await this.request("GET", `/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`);
    return facts === undefined ? undefined : readQueue(facts);
  }

  async queues(vhost: string): Promise<readonly QueueFacts[]> {
    const list = await this.request("GET", `/queues/${encodeURIComponent(vhost)}`);
    return Array.isArray(list) ? list.map(readQueue) : [];
  }

  /** Names of the client connections that are open to the vhost. */
  async connections(vhost: string): Promise<readonly string[]> {
    const list = await this.request("GET", `/vhosts/${encodeURIComponent(vhost)}/connections`);
    return Array.isArray(list) ? list.map((item) => String((item as { name?: unknown }).name)) : [];
  }

  /** Makes the broker close every client connection of the vhost (320 CONNECTION_FORCED). Answers how many it closed. */
  async closeConnections(vhost: string): Promise<number> {
    const names = await this.connections(vhost);
    for (const name of names) await this.request("DELETE", `/connections/${encodeURIComponent(name)}`);
    return names.length;
  }
}

function readQueue(facts: unknown): QueueFacts {
  const queue = facts as Partial<QueueFacts>;
  return {
    name: String(queue.name),
    messages: queue.messages ?? 0,
    consumers: queue.consumers ?? 0,
    arguments: queue.arguments ?? {},
  };
}
