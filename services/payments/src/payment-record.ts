import type { RunSql, TableName } from "@warren/ledger";
import { PaymentMismatchError } from "./errors.ts";
import { type PaymentStatus, relate } from "./payment-state.ts";
import type { PaymentObject } from "./yookassa.ts";

export interface RecordedBy {
  readonly jobId: string;
  readonly correlationId: string;
}

/** `recorded`: it moved forward, by this call and no other. `unchanged`: it was there, or further, already. */
export type Change = { readonly kind: "recorded" } | { readonly kind: "unchanged"; readonly status: PaymentStatus };

/**
 * Records what the provider says, inside the caller's transaction. The row is locked (primary key) until the transaction ends, so of
 * several jobs about one payment exactly one records a status. It never moves backwards.
 * @throws PaymentMismatchError when the recorded status is final and another
 */
export async function recordPayment(
  run: RunSql,
  table: TableName,
  provider: string,
  observed: PaymentObject,
  by: RecordedBy,
): Promise<Change> {
  const values = [
    provider,
    observed.id,
    observed.kind,
    observed.paymentId,
    observed.status,
    observed.amount.value,
    observed.amount.currency,
    observed.test,
    observed.description ?? null,
    observed.reason ?? null,
    JSON.stringify(observed.metadata),
    observed.occurredAt,
    by.jobId,
    by.correlationId,
  ];
  const inserted = await run(insertSql(table), values);
  if (inserted.rows.length > 0) return { kind: "recorded" };

  const found = await run(lockSql(table), [provider, observed.id]);
  const status = found.rows[0]?.status as PaymentStatus;
  const relation = relate(observed.status, status);
  switch (relation) {
    case "same":
    case "behind":
      return { kind: "unchanged", status };
    case "contradiction":
      throw new PaymentMismatchError(observed.id, "the recorded status", status, observed.status);
    case "ahead":
      await run(advanceSql(table), [
        provider,
        observed.id,
        observed.status,
        observed.amount.value,
        observed.reason ?? null,
        observed.occurredAt,
        by.jobId,
        by.correlationId,
      ]);
      return { kind: "recorded" };
    default:
      return relation satisfies never;
  }
}

const insertSql = (table: TableName) => `
insert into ${table("payments")}
  (provider, object_id, kind, payment_id, status, amount, currency, test, description, reason, metadata, occurred_at, job_id, correlation_id, log)
values ($1, $2, $3, $4, $5, $6::numeric, $7, $8, $9, $10, $11::jsonb, $12::timestamptz, $13::uuid, $14,
  jsonb_build_array(jsonb_build_object('status', $5::text, 'at', statement_timestamp(), 'job', $13::uuid)))
on conflict (provider, object_id) do nothing
returning object_id`;

const lockSql = (table: TableName) => `
select status from ${table("payments")} where provider = $1 and object_id = $2 for update`;

/** The amount follows the provider: a capture may take less than was authorised. */
const advanceSql = (table: TableName) => `
update ${table("payments")} set status = $3, amount = $4::numeric, reason = $5, occurred_at = $6::timestamptz,
  job_id = $7::uuid, correlation_id = $8, updated_at = statement_timestamp(),
  log = log || jsonb_build_object('status', $3::text, 'at', statement_timestamp(), 'job', $7::uuid)
where provider = $1 and object_id = $2`;
