import { keyOf, waiting } from "../gate.ts";
import type { Statement, TableName } from "../postgres/sql.ts";
import { sendLease } from "../release.ts";
import { chooseStatement, type Shape } from "./choose-sql.ts";
import { takeStarts } from "./starts-sql.ts";
import { lockTurn } from "./turn.ts";

const milliseconds = (column: string): string => `extract(epoch from ${column})::float8 * 1000`;

/** What the holder of a queue's turn asks, and what goes past the turn: jobs released and not sent, and queues without a policy. */
export function turnsSql(table: TableName) {
  const jobs = table("jobs");
  const policies = table("queue_policies");
  const hop = (name: string, where: string): string => `${name} as (
      (select queue from ${jobs} where ${where} order by queue limit 1)
      union all
      select next.queue from ${name} cross join lateral (
        select queue from ${jobs} where ${where} and queue > ${name}.queue order by queue limit 1
      ) next
    )`;
  const choices = new Map<string, Statement>();

  return {
    // One index entry a queue. Index: jobs_waiting (queue), jobs_set_aside (queue).
    waiting: {
      name: "warren_waiting_queues",
      text: `with recursive ${hop("lined", waiting(""))}, ${hop("aside", "gate = 4")}
        select queue, coalesce(p.governed, false) as governed, q.queue is not null as waits, coalesce(p.paused, false) as paused
        from (select queue from lined union select queue from aside) q
        full join (select queue, governed, paused from ${policies} where governed) p using (queue)
        order by queue`,
    },

    attempt: { name: "warren_turn", text: lockTurn(table).attempt },

    // Under the lock, and after it was got: a snapshot from before might not see what the last holder released. A release that is lost
    // in a crash has left nothing behind but a message that no claim honours, so its commit need not wait for the disk.
    // Index: jobs_released; the small tables of policies and workers.
    look: {
      name: "warren_turn_look",
      text: `select p.*, t.tokens, ${milliseconds("t.tokens_at")} as tokens_at_ms, t.outstanding, ${milliseconds("t.looked_at")} as looked_at_ms,
        t.flow, t.turn, t.resume_level, t.resume_key, t.resume_phase,
        ${milliseconds("clock_timestamp()")} as now_ms, ${milliseconds("p.governed_at")} as governed_at_ms,
        (select coalesce(sum(w.concurrency), 0) from ${table("workers")} w where w.ended_at is null and $1 = any (w.queues)) as places,
        exists (select from ${jobs} where queue = $1 and gate = 4) as set_aside,
        p.keyed and exists (
          select from ${table("queue_key_policies")} where queue = $1 and num_nonnulls(concurrency, rate_limit) > 0
        ) as limited_keys,
        r.released, r.unstarted, set_config('synchronous_commit', 'off', true) as unwaited,
        set_config('lock_timeout', '100ms', true) as hurried
      from ${policies} p join ${table("queue_turns")} t on t.queue = p.queue
      cross join (
        select count(*) as released, count(*) filter (where state = 'ready') as unstarted
        from ${jobs} where queue = $1 and gate = 2
      ) r
      where p.queue = $1`,
    },

    // Jobs that ran when their queue became governed count from now on. Index: jobs_running (worker_id).
    adopt: {
      name: "warren_turn_adopt",
      text: `update ${jobs} set gate = 2
      where worker_id = any (array(select id from ${table("workers")} where ended_at is null))
        and state = 'running' and queue = $1 and gate = 0`,
    },

    starts: takeStarts(table),

    // What was set aside and is paused no more goes back in line, hopping over what still is. With $2 everything that has a key goes:
    // where order is strict a paused job keeps its key waiting. Index: jobs_set_aside (queue, name, key), queue_key_policies.
    restore: { name: "warren_turn_restore", text: restoreSql(table) },

    choose: (shape: Shape): Statement => {
      const name = JSON.stringify(shape);
      const known = choices.get(name) ?? chooseStatement(table, shape);
      choices.set(name, known);
      return known;
    },

    keep: {
      name: "warren_turn_keep",
      text: `update ${table("queue_turns")} set tokens = $2, tokens_at = to_timestamp($3::float8 / 1000), outstanding = $4,
        looked_at = to_timestamp($5::float8 / 1000), flow = $6, turn = coalesce($7, turn),
        resume_level = $8, resume_key = $9, resume_phase = $10
      where queue = $1`,
    },

    // All released jobs, which are few. Locked rows are another's. Index: jobs_released.
    overdue: {
      name: "warren_overdue",
      text: `with picked as (
          select id from ${jobs}
          where gate = 2 and state = 'ready' and held_by is null and sent_at is null and send_after <= statement_timestamp()
          order by queue limit $1 for update skip locked
        )
        update ${jobs} j set send_after = clock_timestamp() + ${sendLease}
        where j.id = any (array(select id from picked))
        returning j.id, j.queue, j.name, j.attempt`,
    },

    // For queues without a policy: everything may go. Index: jobs_waiting, jobs_set_aside.
    free: {
      name: "warren_free",
      text: `with lined as (
          select id from ${jobs} where queue = $1 and ${waiting("")} order by (-priority), run_at, id limit $2
          for update skip locked
        ),
        aside as (
          select id from ${jobs} where queue = $1 and gate = 4 limit $2 for update skip locked
        )
        update ${jobs} j set gate = 0, sent_at = null, send_after = clock_timestamp() + ${sendLease}
        where j.id = any (array(select id from lined union all select id from aside))
          and not exists (select from ${policies} p where p.queue = $1 and p.governed)
        returning j.id, j.queue, j.name, j.attempt`,
    },
  } as const;
}

function restoreSql(table: TableName): string {
  const key = keyOf("j.");
  const aside = `from ${table("jobs")} j where j.queue = $1 and j.gate = 4`;
  const isNamePaused = "r.name = any ($3::text[])";
  const isKept = "($2::boolean and r.key <> '')";
  return `with recursive pairs (name, key, hops) as (
    (select j.name, ${key}, 0 ${aside} order by j.name, ${key} limit 1)
    union all
    select n.name, n.key, r.hops + 1
    from pairs r cross join lateral (
      (select j.name, ${key} as key ${aside} and j.name = r.name and ${key} > r.key and ($2::boolean or not ${isNamePaused})
        order by j.name, ${key} limit 1)
      union all
      (select j.name, ${key} ${aside} and j.name > r.name order by j.name, ${key} limit 1)
      limit 1
    ) n
    where r.hops < 5000
  ),
  back as (
    select j.id from pairs r cross join lateral (
      select j.id ${aside} and j.name = r.name and ${key} = r.key limit 1000
    ) j
    where (${isKept} or not ${isNamePaused}) and (${isKept} or not exists (
      select from ${table("queue_key_policies")} k where k.queue = $1 and k.key = r.key and k.paused
    ))
    limit 2000
  )
  update ${table("jobs")} set gate = 1 where id = any (array(select id from back))`;
}
