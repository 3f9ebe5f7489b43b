import { Client } from "pg";
import { z } from "zod";

/** What the platform itself says about one run of the demo. */
export interface Facts {
  /** Requests kept, by status. */
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejected: Readonly<Record<string, number>>;
  /** Requests refused and counted, but beyond the number that is kept a minute. */
  readonly rejectedNotKept: number;
  /** Jobs by name and state: `notifications.send-template succeeded`. */
  readonly jobs: Readonly<Record<string, number>>;
  readonly unfinished: number;
  /** Deliveries that the mail server took, by the ledger. */
  readonly deliveriesAccepted: number;
  readonly mails: MailFacts | undefined;
}

export interface MailFacts {
  readonly total: number;
  readonly uniqueMessageIds: number;
  readonly events: number;
  /** From the stored request to the mail at the mail server, ascending. */
  readonly webhookToMailMs: readonly number[];
}

export interface Source {
  readonly databaseUrl: string;
  readonly schema: string;
  readonly mailboxUrl: string | undefined;
  readonly ingressMetricsUrl: string | undefined;
  readonly run: string;
  readonly startedAt: Date;
}

const rowsOf = <T>(schema: z.ZodType<T>, rows: readonly unknown[]): T[] => z.array(schema).parse(rows);
const counted = z.object({ key: z.string(), count: z.coerce.number() });

/** Reads the ledger, the mail sink and the ingress's own counters. */
export class ReadBack implements AsyncDisposable {
  readonly #client: Client;
  readonly #source: Source;
  readonly #schema: string;
  #notKeptBefore = 0;

  private constructor(source: Source) {
    this.#source = source;
    this.#client = new Client({ connectionString: source.databaseUrl });
    this.#client.on("error", () => undefined);
    this.#schema = `"${source.schema.replaceAll('"', '""')}"`;
  }

  static async open(source: Source): Promise<ReadBack> {
    const readBack = new ReadBack(source);
    await readBack.#client.connect();
    readBack.#notKeptBefore = await readBack.#rejectionsNotKept();
    return readBack;
  }

  /** Cheap: how much has come out at the far end so far. */
  async progress(): Promise<{ readonly finished: number; readonly unfinished: number }> {
    const jobs = await this.#jobs();
    const unfinished = jobs.reduce((sum, { state, count }) => sum + (isFinal(state) ? 0 : count), 0);
    return { finished: jobs.reduce((sum, { count }) => sum + count, 0) - unfinished, unfinished };
  }

  async facts(): Promise<Facts> {
    const requests = rowsOf(
      counted,
      await this.#query(
        `select status || coalesce(' ' || cause, '') as key, count(*) as count from ${this.#schema}.webhook_requests
         where id >= $1 and correlation_id like $2 group by 1`,
      ),
    );
    const byKey = new Map(requests.map(({ key, count }) => [key, count]));
    const rejected = requests.filter(({ key }) => key.startsWith("rejected "));
    const jobs = await this.#jobs();
    const deliveries = rowsOf(
      counted,
      await this.#query(
        `select state as key, count(*) as count from ${this.#schema}.deliveries
         where job_id >= $1 and correlation_id like $2 group by 1`,
      ),
    );
    return {
      accepted: byKey.get("accepted") ?? 0,
      duplicates: byKey.get("duplicate") ?? 0,
      rejected: Object.fromEntries(rejected.map(({ key, count }) => [key.slice("rejected ".length), count])),
      rejectedNotKept: (await this.#rejectionsNotKept()) - this.#notKeptBefore,
      jobs: Object.fromEntries(jobs.map(({ name, state, count }) => [`${name} ${state}`, count])),
      unfinished: jobs.reduce((sum, { state, count }) => sum + (isFinal(state) ? 0 : count), 0),
      deliveriesAccepted: deliveries.find(({ key }) => key === "accepted")?.count ?? 0,
      mails: await this.#mails(),
    };
  }

  async #jobs(): Promise<readonly { readonly name: string; readonly state: string; readonly count: number }[]> {
    const row = z.object({ name: z.string(), state: z.string(), count: z.coerce.number() });
    const rows = await this.#query(
      `select name, state, count(*) as count from (
         select name, state from ${this.#schema}.jobs where id >= $1 and correlation_id like $2
         union all
         select name, state from ${this.#schema}.jobs_history where id >= $1 and correlation_id like $2
       ) as job group by 1, 2 order by 1, 2`,
    );
    return rowsOf(row, rows);
  }

  async #mails(): Promise<MailFacts | undefined> {
    const { mailboxUrl, run, startedAt } = this.#source;
    if (mailboxUrl === undefined) return undefined;
    const mails: z.infer<typeof mail>[] = [];
    for (let after = 0; ; ) {
      const query = new URLSearchParams({
        order: "oldest",
        limit: "5000",
        after: String(after),
        since: startedAt.toISOString(),
      });
      const page = mailPage.parse(await (await fetch(`${mailboxUrl}/api/messages?${query.toString()}`)).json());
      const last = page.messages.at(-1);
      if (last === undefined) break;
      mails.push(...page.messages.filter(({ correlationId }) => correlationId.startsWith(`${run}.`)));
      after = last.id;
    }
    const received = await this.#receivedAt();
    const delays = mails.flatMap(({ correlationId, receivedAt }) => {
      const from = received.get(correlationId);
      return from === undefined ? [] : [Date.parse(receivedAt) - from];
    });
    return {
      total: mails.length,
      uniqueMessageIds: new Set(mails.map(({ messageId }) => messageId)).size,
      events: new Set(mails.map(({ correlationId }) => correlationId)).size,
      webhookToMailMs: delays.toSorted((a, b) => a - b),
    };
  }

  async #receivedAt(): Promise<ReadonlyMap<string, number>> {
    const rows = rowsOf(
      z.object({ id: z.string(), at: z.date() }),
      await this.#query(
        `select correlation_id as id, received_at as at from ${this.#schema}.webhook_requests
         where id >= $1 and correlation_id like $2 and status = 'accepted'`,
      ),
    );
    return new Map(rows.map(({ id, at }) => [id, at.getTime()]));
  }

  /** `$1`: the least id of this run, so that only its partitions are read; `$2`: its correlation ids. */
  async #query(text: string): Promise<readonly unknown[]> {
    const { rows } = await this.#client.query<Record<string, unknown>>(text, [
      leastId(this.#source.startedAt),
      `${this.#source.run}.%`,
    ]);
    return rows;
  }

  async #rejectionsNotKept(): Promise<number> {
    const url = this.#source.ingressMetricsUrl;
    if (url === undefined) return 0;
    const text = await (await fetch(url)).text();
    return text
      .split("\n")
      .filter((line) => line.startsWith("warren_webhook_rejections_not_kept_total{"))
      .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}

const mail = z.object({ id: z.number(), messageId: z.string(), correlationId: z.string(), receivedAt: z.string() });
const mailPage = z.object({ messages: z.array(mail) });

function isFinal(state: string): boolean {
  return ["succeeded", "dead", "cancelled"].includes(state);
}

/** The least UUIDv7 of a minute before that time. Pure. */
export function leastId(time: Date): string {
  const hex = Math.max(0, time.getTime() - 60_000)
    .toString(16)
    .padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
