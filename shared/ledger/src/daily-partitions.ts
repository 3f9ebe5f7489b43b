import type { RunSql, TableName } from "./sql.ts";
import { uuidBound } from "./uuid-bounds.ts";

/** A table partitioned by the day in a UUIDv7 column, with a default partition `<parent>_default`. */
export interface DailyTable {
  readonly parent: string;
  /** The UUIDv7 column. */
  readonly key: string;
  /** When a row was written; rows in the default partition go by it. */
  readonly writtenAt: string;
  /** Storage parameters of each day: `like … including all` does not carry them. */
  readonly storage: string;
}

/** Tables beside history whose days are made ahead and dropped past retention. A day goes whole, late rows of it included. */
export const dailyTables: readonly DailyTable[] = [
  { parent: "webhook_requests", key: "id", writtenAt: "received_at", storage: "toast_tuple_target = 8160" },
  { parent: "deliveries", key: "job_id", writtenAt: "started_at", storage: "fillfactor = 80" },
];

const dayMs = 86_400_000;
/** Rows a sweep of a default partition deletes at most; the rest waits for the next round. */
const sweepLimit = 20_000;

interface Day {
  readonly name: string;
  readonly endMs: number;
}

/** The day that begins at `startMs` (UTC midnight). */
function dayOf(daily: DailyTable, startMs: number): Day & { readonly from: string; readonly to: string } {
  const stamp = new Date(startMs).toISOString().slice(0, 10).replaceAll("-", "");
  const endMs = startMs + dayMs;
  return { name: `${daily.parent}_${stamp}`, endMs, from: uuidBound(startMs), to: uuidBound(endMs) };
}

async function existingDays(run: RunSql, table: TableName, daily: DailyTable): Promise<readonly Day[]> {
  const { rows } = await run(
    `select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
     where i.inhparent = $1::regclass order by c.relname`,
    [table(daily.parent)],
  );
  return rows.flatMap((row) => {
    const name = String(row["relname"]);
    const [, year, month, day] = /_(\d{4})(\d{2})(\d{2})$/.exec(name) ?? [];
    return year === undefined ? [] : [{ name, endMs: Date.UTC(Number(year), Number(month) - 1, Number(day)) + dayMs }];
  });
}

/** Makes the missing days around `nowMs`. Rows that the default partition holds of such a day move along. */
export async function prepareDays(
  run: RunSql,
  table: TableName,
  daily: DailyTable,
  plan: { readonly nowMs: number; readonly daysBack: number; readonly daysAhead: number },
): Promise<readonly string[]> {
  const existing = new Set((await existingDays(run, table, daily)).map(({ name }) => name));
  const created: string[] = [];
  for (let shift = -plan.daysBack; shift <= plan.daysAhead; shift += 1) {
    const day = dayOf(daily, (Math.floor(plan.nowMs / dayMs) + shift) * dayMs);
    if (existing.has(day.name)) continue;
    await run(makeDaySql(table, daily, day), []);
    created.push(day.name);
  }
  return created;
}

/** Drops the days that ended before `cutoffMs`, and what the default partition holds from before then. */
export async function dropDays(
  run: RunSql,
  table: TableName,
  daily: DailyTable,
  cutoffMs: number,
): Promise<readonly string[]> {
  const old = (await existingDays(run, table, daily)).filter(({ endMs }) => endMs <= cutoffMs);
  for (const { name } of old) {
    await run(`drop table ${table(name)}`, []);
  }
  await run(sweepSql(table, daily), [cutoffMs, sweepLimit]);
  return old.map(({ name }) => name);
}

/** One statement block, so that it is whole even outside a transaction. Locks the default partition for the move. */
const makeDaySql = (table: TableName, daily: DailyTable, day: ReturnType<typeof dayOf>) => `
do $make$ begin
  lock table ${table(`${daily.parent}_default`)} in access exclusive mode;
  create table ${table(day.name)} (like ${table(daily.parent)} including all) with (${daily.storage});
  with moved as (
    delete from ${table(`${daily.parent}_default`)}
    where ${daily.key} >= '${day.from}' and ${daily.key} < '${day.to}' returning *
  )
  insert into ${table(day.name)} select * from moved;
  alter table ${table(daily.parent)} attach partition ${table(day.name)} for values from ('${day.from}') to ('${day.to}');
end $make$`;

/** The default partition holds stray ids only, so it is small enough to be read. */
const sweepSql = (table: TableName, daily: DailyTable) => `
delete from ${table(`${daily.parent}_default`)}
where ctid = any (array(
  select ctid from ${table(`${daily.parent}_default`)}
  where ${daily.writtenAt} < to_timestamp($1::double precision / 1000) limit $2
))`;
