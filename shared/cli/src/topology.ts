import {
  type AmqpSession,
  eventsTopology,
  jobQueue,
  jobsTopology,
  mergeTopologies,
  migrateQueue,
  type PlanRow,
  planTopology,
  queueOf,
  subscriptionOf,
  type Topology,
} from "@warren/amqp";
import { WarrenError } from "@warren/contracts";
import type { Environment } from "@warren/service";
import { connectLedger, connectSession } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printJson, printRows, say } from "./output.ts";

export interface TopologyOptions {
  readonly environment: Environment;
  readonly output: Output;
  /** Short names of queues; undefined: those that the ledger knows of. */
  readonly queues: readonly string[] | undefined;
}

/** Shows declared against actual. `unhealthy` when something is missing or differs. */
export async function topologyPlan(options: TopologyOptions): Promise<ExitCode> {
  const topology = await topologyOf(options);
  await using session = await connectSession(options.environment);
  return await show(session, topology, options.output);
}

/** Makes what is missing; a difference fails with the command that mends it. */
export async function topologyApply(options: TopologyOptions): Promise<ExitCode> {
  const topology = await topologyOf(options);
  await using session = await connectSession(options.environment);
  const before = await planTopology(session, topology);
  await session.declare(topology);
  const made = before.filter(({ status }) => status === "missing").length;
  if (options.output.format === "table")
    say(options.output, made === 0 ? "nothing was missing" : `made ${made} objects`);
  return await show(session, topology, options.output);
}

export interface MigrateOptions {
  readonly environment: Environment;
  readonly output: Output;
  /** The queue, by its short or its broker name. */
  readonly queue: string;
  /** For the queue of a subscription: AMQP cannot tell what it is bound to. */
  readonly patterns?: readonly string[] | undefined;
}

const steps = {
  held: "new messages now wait in the holding queue",
  emptied: "the old queue's messages are in the holding queue",
  deleted: "the old queue is deleted",
  remade: "the queue is declared anew and bound",
  refilled: "the messages are back, the holding queue is deleted",
} as const;

/** Makes a queue anew with the declared arguments, and keeps its messages. */
export async function topologyMigrate({ environment, output, queue, patterns }: MigrateOptions): Promise<ExitCode> {
  const subscription = subscriptionOf(queue);
  const short = queueOf(queue) ?? subscription?.name;
  const topology =
    subscription === undefined ? jobsTopology({ queues: [short ?? queue] }) : eventsOf(subscription, patterns);
  await using session = await connectSession(environment);
  const result = await migrateQueue({
    session,
    topology,
    queue: short === undefined ? jobQueue(queue) : queue,
    onStep: (step) => say(output, `· ${steps[step]}`),
  });
  if (output.format === "json") printJson(output, result);
  else say(output, `${result.outcome}: ${result.moved} messages moved, ${result.duplicates} duplicates dropped`);
  return exitCodes.ok;
}

function eventsOf(
  { service, name }: { readonly service: string; readonly name: string },
  patterns: readonly string[] | undefined,
): Topology {
  if (patterns !== undefined && patterns.length > 0)
    return eventsTopology({ service, subscriptions: [{ name, patterns }] });
  throw new WarrenError(
    "AMQP_OPTION_INVALID",
    `patterns: name what ${service}.${name} subscribes to, such as --patterns orders.created,orders.paid`,
  );
}

async function topologyOf({ environment, queues }: TopologyOptions): Promise<Topology> {
  return mergeTopologies(jobsTopology({ queues: queues ?? (await knownQueues(environment)) }), eventsTopology());
}

/** Queues of living workers and of waiting jobs. */
async function knownQueues(environment: Environment): Promise<readonly string[]> {
  try {
    await using ledger = await connectLedger(environment);
    const [beats, ready] = await Promise.all([ledger.beats(), ledger.readyQueues()]);
    return [...new Set([...beats.flatMap(({ queues }) => queues), ...ready])].sort();
  } catch (error) {
    if (!(error instanceof WarrenError)) throw error;
    const message = `cannot ask the ledger which queues there are (${error.message}); name them with --queues a,b`;
    throw new WarrenError(error.code, message, { cause: error });
  }
}

async function show(session: AmqpSession, topology: Topology, output: Output): Promise<ExitCode> {
  const rows = await planTopology(session, topology);
  printRows(
    output,
    ["object", "name", "status", "detail"],
    rows.map((row) => ({ ...row })),
  );
  for (const row of rows) if (row.status === "drift") say(output, mending(row));
  return rows.every(({ status }) => status === "ok" || status === "unchecked") ? exitCodes.ok : exitCodes.unhealthy;
}

function mending({ object, name }: PlanRow): string {
  return object === "queue"
    ? `to mend ${name}: stop its workers, then npm run warren -- topology migrate ${name}`
    : `to mend exchange ${name}: delete it in the broker, then npm run warren -- topology apply`;
}
