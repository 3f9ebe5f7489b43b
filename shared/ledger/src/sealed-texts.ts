import type { RunSql, TableName } from "./postgres/sql.ts";

/** A secret that a table keeps sealed, outside of jobs. */
export interface SealedText {
  /** What it was sealed for; it opens for nobody else. */
  readonly owner: string;
  readonly sealed: string;
}

/** Every sealed secret of the tables: sources of webhooks, endpoints of deliveries. */
export interface SealedTexts {
  /** All of them: hundreds, not millions. */
  list(): Promise<readonly SealedText[]>;
  /** Writes one sealed anew, if it is still the one that was read. Answers whether it was. */
  reseal(text: SealedText, sealed: string): Promise<boolean>;
}

interface Place {
  /** Rows of `owner`, `sealed`. Reads the whole, small table and locks nothing. */
  readonly list: string;
  /** `$1` owner, `$2` as it was, `$3` anew. Locks its row; looks at the whole, small table. */
  readonly reseal: string;
}

function column(table: string, owner: string): Place {
  return {
    list: `select ${owner} as owner, sealed from ${table} where sealed is not null`,
    reseal: `update ${table} set sealed = $3 where ${owner} = $1 and sealed = $2 returning 1`,
  };
}

export function createSealedTexts({
  table,
  query,
}: {
  readonly table: TableName;
  readonly query: RunSql;
}): SealedTexts {
  const sources = table("webhook_sources");
  const optionOwner = "'webhook-source/' || s.id || '/option/' || o.key";
  const sealedOptions = `jsonb_each(s.settings -> 'options') o`;
  const places: readonly Place[] = [
    column(table("webhook_source_secrets"), "'webhook-source/' || source_id || '/secret/' || id"),
    {
      list: `select ${optionOwner} as owner, o.value ->> '$sealed' as sealed
        from ${sources} s cross join lateral ${sealedOptions} where o.value ? '$sealed'`,
      reseal: `update ${sources} t
        set settings = jsonb_set(t.settings, array['options', f.key, '$sealed'], to_jsonb($3::text))
        from (select s.id, o.key from ${sources} s cross join lateral ${sealedOptions}
          where ${optionOwner} = $1 and o.value ->> '$sealed' = $2) f
        where t.id = f.id and t.settings #>> array['options', f.key, '$sealed'] = $2 returning 1`,
    },
    column(table("webhook_endpoint_secrets"), "'webhook-endpoint/' || endpoint_id || '/secret/' || id"),
    column(table("webhook_endpoints"), "'webhook-endpoint/' || id"),
  ];
  const listSql = places.map(({ list }) => `(${list})`).join(" union all ");

  return {
    async list() {
      const { rows } = await query(`${listSql} order by owner`, []);
      return rows.map((row) => ({ owner: String(row["owner"]), sealed: String(row["sealed"]) }));
    },
    async reseal({ owner, sealed: before }, sealed) {
      for (const place of places) {
        if ((await query(place.reseal, [owner, before, sealed])).rows.length > 0) return true;
      }
      return false;
    },
  };
}
