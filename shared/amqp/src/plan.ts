import { declareExchange, declareQueue } from "./declare.ts";
import { replyCode, TopologyMismatchError } from "./errors.ts";
import type { AmqpSession } from "./session.ts";
import type { Binding, ExchangeBinding, Topology } from "./topology.ts";

export interface PlanRow {
  readonly object: "exchange" | "queue" | "binding";
  readonly name: string;
  /**
   * `unchecked`: both ends of a binding exist, and AMQP 0-9-1 has no question for whether the binding does. Asserting it is
   * harmless, and `apply` and every service start do.
   */
  readonly status: "ok" | "missing" | "drift" | "unchecked";
  readonly detail: string;
}

type Lender = Pick<AmqpSession, "withChannel">;

/**
 * Compares declared with actual, and changes nothing: each object is looked for passively first, and asserted only where it exists,
 * on a channel of its own, because a difference closes the channel.
 */
export async function planTopology(session: Lender, topology: Topology): Promise<readonly PlanRow[]> {
  const rows: PlanRow[] = [];
  const missing = new Set<string>();
  for (const exchange of topology.exchanges) {
    const row = await compare({
      object: "exchange",
      name: exchange.name,
      exists: () => session.withChannel((channel) => channel.checkExchange(exchange.name)),
      assert: () => session.withChannel((channel) => declareExchange(channel, exchange)),
    });
    if (row.status === "missing") missing.add(`exchange ${exchange.name}`);
    rows.push(row);
  }
  for (const queue of topology.queues) {
    const row = await compare({
      object: "queue",
      name: queue.name,
      exists: () => session.withChannel((channel) => channel.checkQueue(queue.name)),
      assert: () => session.withChannel((channel) => declareQueue(channel, queue)),
    });
    if (row.status === "missing") missing.add(`queue ${queue.name}`);
    rows.push(row);
  }
  for (const binding of topology.bindings) rows.push(bindingRow(binding, missing));
  for (const binding of topology.exchangeBindings ?? []) rows.push(bindingRow(binding, missing));
  return rows;
}

interface Comparison {
  readonly object: "exchange" | "queue";
  readonly name: string;
  readonly exists: () => Promise<unknown>;
  readonly assert: () => Promise<void>;
}

async function compare({ object, name, exists, assert }: Comparison): Promise<PlanRow> {
  try {
    await exists();
    await assert();
    return { object, name, status: "ok", detail: "" };
  } catch (error) {
    if (replyCode(error) === 404) return { object, name, status: "missing", detail: "" };
    if (error instanceof TopologyMismatchError) {
      const { argument, declared, actual } = error.mismatch;
      const detail = argument === undefined ? "other arguments" : `${argument}: declared ${declared}, actual ${actual}`;
      return { object, name, status: "drift", detail };
    }
    throw error;
  }
}

function bindingRow(binding: Binding | ExchangeBinding, missing: ReadonlySet<string>): PlanRow {
  const { exchange, routingKey } = binding;
  const [kind, target] = "queue" in binding ? ["queue", binding.queue] : ["exchange", binding.toExchange];
  const name = `${exchange} → ${target}`;
  const ends = [`exchange ${exchange}`, `${kind} ${target}`].filter((end) => missing.has(end));
  const key = routingKey === "" ? "" : `key ${routingKey}`;
  if (ends.length === 0) return { object: "binding", name, status: "unchecked", detail: key };
  return { object: "binding", name, status: "missing", detail: `${ends.join(" and ")} missing` };
}
