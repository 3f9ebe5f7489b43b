import { AssertionError } from "node:assert";
import { inspect } from "node:util";
import type { EventDataOf, EventDefinition, JobDefinition, PayloadOf } from "@warren/jobs";
import type { JobRecord, JobState } from "@warren/ledger";
import { type Matcher, matches } from "./matching.ts";
import type { PublishedEvent } from "./published.ts";

/** What else a job must be like. */
export interface EnqueuedOptions {
  /** How many must fit. Default: at least one. */
  readonly count?: number;
  readonly queue?: string;
  readonly state?: JobState | readonly JobState[];
  readonly priority?: number;
  /** The id that the caller chose. */
  readonly id?: string;
  /** The key of limits, order and fairness. */
  readonly key?: string;
  /** Not before this instant, to the second. */
  readonly at?: Date;
  /** So long after it was enqueued, to the second. */
  readonly delayMs?: number;
}

/** Where the jobs of a test are: a `TestClient`, or an open Warren, whose answer takes time. */
interface Source<Answer> {
  enqueuedJobs(): Answer;
}

type Jobs = readonly JobRecord[];

/**
 * Holds that a job was enqueued, whether it has run since or not, and answers those that fit, in the order in which they came.
 * @throws AssertionError, which lists what was enqueued instead.
 */
export function expectEnqueued<Definition extends JobDefinition, Answer extends Jobs | Promise<Jobs>>(
  client: Source<Answer>,
  definition: Definition,
  payload?: Matcher<PayloadOf<Definition>>,
  options: EnqueuedOptions = {},
): Answer {
  return withAnswer(client.enqueuedJobs(), (jobs) => {
    const fitting = jobs.filter((job) => fits(job, definition, payload, options));
    const { count } = options;
    if (count === undefined ? fitting.length > 0 : fitting.length === count) return fitting;
    const wanted = `${count === undefined ? "a job" : `${count} jobs`} ${definition.name}${describe(payload, options)}`;
    throw failed(
      `expected ${wanted}, found ${fitting.length === 0 ? "none" : fitting.length}`,
      jobs,
      definition.name,
      expectEnqueued,
    );
  });
}

/** Holds that no such job was enqueued. @throws AssertionError, which shows those that were. */
export function refuteEnqueued<Definition extends JobDefinition, Answer extends Jobs | Promise<Jobs>>(
  client: Source<Answer>,
  definition: Definition,
  payload?: Matcher<PayloadOf<Definition>>,
  options: Omit<EnqueuedOptions, "count"> = {},
): Answer extends Jobs ? void : Promise<void> {
  const answer = withAnswer<Jobs | Promise<Jobs>>(client.enqueuedJobs(), (jobs) => {
    const fitting = jobs.filter((job) => fits(job, definition, payload, options));
    if (fitting.length === 0) return fitting;
    const text = `expected no job ${definition.name}${describe(payload, options)}, found ${fitting.length}`;
    throw failed(text, fitting, definition.name, refuteEnqueued);
  });
  return (isPending(answer) ? answer.then(() => undefined) : undefined) as Answer extends Jobs ? void : Promise<void>;
}

export interface PublishedOptions {
  /** How many must fit. Default: at least one. */
  readonly count?: number;
  readonly subject?: string;
  readonly orderingKey?: string;
}

/** Holds that an event was published, and answers those that fit. @throws AssertionError, which lists what was published instead. */
export function expectPublished<Definition extends EventDefinition>(
  client: { publishedEvents(): readonly PublishedEvent[] },
  event: Definition,
  data?: Matcher<EventDataOf<Definition>>,
  { count, ...options }: PublishedOptions = {},
): readonly PublishedEvent[] {
  const all = client.publishedEvents();
  const fitting = all.filter(
    (one) => one.type === event.type && (data === undefined || matches(data, one.data)) && matches(given(options), one),
  );
  if (count === undefined ? fitting.length > 0 : fitting.length === count) return fitting;
  const wanted = `${count === undefined ? "an event" : `${count} events`} ${event.type}${describe(data, options)}`;
  const lines = all.map((one) => `  ${one.type} ${brief(one.data)}`);
  const found = `expected ${wanted}, found ${fitting.length === 0 ? "none" : fitting.length}`;
  throw assertion(`${found}\n${list("published", lines)}`, expectPublished);
}

function withAnswer<Answer extends Jobs | Promise<Jobs>>(answer: Answer, check: (jobs: Jobs) => Jobs): Answer {
  return (isPending(answer) ? answer.then(check) : check(answer)) as Answer;
}

const isPending = (answer: Jobs | Promise<Jobs>): answer is Promise<Jobs> => answer instanceof Promise;

function fits(job: JobRecord, definition: JobDefinition, payload: unknown, options: EnqueuedOptions): boolean {
  const { queue, state, priority, id, key, at, delayMs } = options;
  const within = (wanted: number): boolean => Math.abs(job.runAt.getTime() - wanted) < 1_000;
  return (
    job.name === definition.name &&
    (payload === undefined || matches(payload, job.payload)) &&
    (queue === undefined || job.queue === queue) &&
    (state === undefined || [state].flat().includes(job.state)) &&
    (priority === undefined || job.priority === priority) &&
    (id === undefined || job.key === id) &&
    (key === undefined || job.limitKey === key) &&
    (at === undefined || within(at.getTime())) &&
    (delayMs === undefined || within(job.createdAt.getTime() + delayMs))
  );
}

const given = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

function describe(payload: unknown, options: object): string {
  const { count: _, ...rest } = options as { readonly count?: number };
  const like =
    payload === undefined ? "" : ` like ${typeof payload === "function" ? "your function says" : brief(payload)}`;
  return Object.keys(given(rest)).length === 0 ? like : `${like} with ${brief(given(rest))}`;
}

const brief = (value: unknown): string => inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY });
const mostLines = 20;

function list(what: string, lines: readonly string[]): string {
  if (lines.length === 0) return `nothing was ${what}`;
  const more = lines.length > mostLines ? [`  … and ${lines.length - mostLines} more`] : [];
  return [`${what}:`, ...lines.slice(0, mostLines), ...more].join("\n");
}

/** Jobs of the same name first: most failures are a field that is not as expected. */
function failed(text: string, jobs: Jobs, name: string, stackStart: (...args: never[]) => unknown): AssertionError {
  const sorted = jobs.toSorted((left, right) => Number(right.name === name) - Number(left.name === name));
  return assertion(`${text}\n${list("enqueued", sorted.map(line))}`, stackStart);
}

function line(job: JobRecord): string {
  const facts = given({
    queue: job.queue,
    state: job.state,
    priority: job.priority === 0 ? undefined : job.priority,
    id: job.key,
    key: job.limitKey,
    delayMs: job.runAt > job.createdAt && job.attempt === 0 ? job.runAt.getTime() - job.createdAt.getTime() : undefined,
    reason: job.reason,
  });
  return `  ${job.name} ${brief(job.payload)} ${brief(facts)}`;
}

function assertion(message: string, stackStart: (...args: never[]) => unknown): AssertionError {
  return new AssertionError({ message, stackStartFn: stackStart });
}
