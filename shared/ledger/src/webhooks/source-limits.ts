import { createBatcher } from "../postgres/batcher.ts";
import type { Row } from "../postgres/database.ts";
import type { Statement, TableName } from "../postgres/sql.ts";
import { within } from "./within.ts";

/** A token bucket: `perSecond` flow in, and it holds `burst` at most, at least 1. */
export interface SourceRate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Rate limits of sources, counted over all processes of a ledger. */
export interface SourceLimits {
  /**
   * Takes a token of the source: 0, or the milliseconds after which there is one, and then none was taken. Over all processes never more
   * than `burst + perSecond × t` are given in any t seconds. Calls that come while a statement is under way share the next one; while
   * the bucket is known to be empty nothing is asked. Throws a `LedgerError`.
   */
  take(source: string, rate: SourceRate): Promise<number>;
}

export interface SourceLimitsOptions {
  readonly ledger: {
    readonly table: TableName;
    run(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]>;
  };
  /** A clock that never goes back, in milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** How long a statement may keep its callers waiting, in milliseconds. Default 10,000. */
  readonly deadlineMs?: number;
}

interface Ask extends SourceRate {
  readonly source: string;
}

/** A bucket as the last statement left it. */
interface Bucket {
  readonly granted: number;
  /** Until there is a token again, in milliseconds; 0: there is one. */
  readonly emptyMs: number;
}

export function createSourceLimits({
  ledger,
  now = () => performance.now(),
  deadlineMs = 10_000,
}: SourceLimitsOptions): SourceLimits {
  const statement = takeStatement(ledger.table);
  const empty = new Map<string, SourceRate & { readonly untilMs: number }>();

  // one at a time: what is known to be empty then is known to all that follow
  const batcher = createBatcher<Ask, number>({ name: "webhook_source_limits", maxInFlight: 1, maxItems: 10_000, run });

  async function run(asks: readonly Ask[]): Promise<readonly number[]> {
    const bySource = Map.groupBy(asks, ({ source }) => source);
    // the latest rate of each: one was changed while these waited
    const rates = [...bySource].map(([source, own]) => ({ ...(own.at(-1) as Ask), source, want: own.length }));
    const rows = await within(
      deadlineMs,
      "a source's rate limit",
      ledger.run(statement, [
        rates.map(({ source }) => source),
        rates.map(({ want }) => want),
        rates.map(({ perSecond }) => perSecond),
        rates.map(({ burst }) => burst),
      ]),
    );
    const buckets = new Map(rows.map((row) => [String(row["source"]), bucketOf(row)]));
    for (const { source, perSecond, burst, want } of rates) {
      const { granted, emptyMs } = buckets.get(source) ?? unanswered;
      if (granted < want) empty.set(source, { perSecond, burst, untilMs: now() + emptyMs });
    }
    const given = new Map<string, number>();
    return asks.map(({ source }) => {
      const { granted, emptyMs } = buckets.get(source) ?? unanswered;
      const before = given.get(source) ?? 0;
      given.set(source, before + 1);
      return before < granted ? 0 : emptyMs;
    });
  }

  return {
    async take(source, { perSecond, burst }) {
      const known = empty.get(source);
      if (known !== undefined) {
        const leftMs = known.untilMs - now();
        if (leftMs > 0 && known.perSecond === perSecond && known.burst === burst) return leftMs;
        empty.delete(source);
      }
      return batcher.add({ source, perSecond, burst });
    },
  };
}

/** Every source asked for is answered; were one not, it would be refused for a second. */
const unanswered: Bucket = { granted: 0, emptyMs: 1_000 };

function bucketOf(row: Row): Bucket {
  return { granted: Number(row["granted"]), emptyMs: Number(row["empty_ms"]) };
}

/**
 * Sources, wanted counts, rates and bursts. Locks the bucket of each source, in the order of their names, for the one statement; index:
 * primary key. Sums of fractions miss whole numbers by less than 1e-6. A clock that goes back fills nothing.
 */
function takeStatement(table: TableName): Statement {
  return {
    name: "take_source_tokens",
    text: `
with asked as (
  select * from unnest($1::text[], $2::int[], $3::float8[], $4::int[]) as a(source, want, per_second, burst)
), taken as (
  insert into ${table("webhook_source_buckets")} as bucket (source, tokens, granted, filled_at)
  select source, burst - least(want, burst), least(want, burst), clock_timestamp() from asked order by source
  on conflict (source) do update set (tokens, granted, filled_at) = (
    select greatest(0, filled.tokens - given.granted), given.granted, greatest(bucket.filled_at, excluded.filled_at)
    from asked,
      lateral (select least(asked.burst, bucket.tokens
        + asked.per_second * greatest(0, extract(epoch from excluded.filled_at - bucket.filled_at))::float8) as tokens) filled,
      lateral (select least(asked.want, floor(filled.tokens + 1e-6))::int as granted) given
    where asked.source = excluded.source
  )
  returning source, tokens, granted
)
select source, granted, greatest(1, ceil((1 - tokens) * 1000 / per_second)) as empty_ms from taken join asked using (source)`,
  };
}
