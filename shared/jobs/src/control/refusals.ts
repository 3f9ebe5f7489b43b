import type { ErrorCode } from "@warren/contracts";
import type { DiscardAnswer, RetryAnswer } from "@warren/ledger";
import { JobError } from "../errors.ts";
import { FlowError } from "../flows/errors.ts";

/** Why a job was not brought back, as an error code; of a flow's job its flow says why. */
const retryCodes = {
  unfinished: "JOB_UNFINISHED",
  succeeded: "JOB_HAS_SUCCEEDED",
  discarded: "JOB_DISCARDED",
  key_taken: "JOB_KEY_TAKEN",
  missing: "JOB_NOT_FOUND",
} as const satisfies Record<Exclude<RetryAnswer["kind"], "retried" | "flow_refused">, ErrorCode>;

/** @throws JobError, FlowError when the job was not brought back. */
export function assertRetried([answer]: readonly RetryAnswer[]): void {
  if (answer === undefined || answer.kind === "retried") return;
  if (answer.kind === "flow_refused") {
    const { id, flowId, refusal } = answer;
    const said = `retry: job ${id} belongs to flow ${flowId}: ${refusal.detail}`;
    throw new FlowError(refusal.code, said, { jobId: id, flowId });
  }
  const { id, kind, ...details } = answer;
  throw new JobError(retryCodes[kind], `retry: ${saysRetry(answer)}`, { details: { jobId: id, ...details } });
}

function saysRetry(answer: Exclude<RetryAnswer, { kind: "retried" | "flow_refused" }>): string {
  const job = `job ${answer.id}`;
  switch (answer.kind) {
    case "unfinished":
      return `${job} is ${answer.state}`;
    case "succeeded":
      return `${job} has succeeded`;
    case "discarded":
      return `${job} was discarded`;
    case "key_taken":
      return `job ${answer.holder} holds the unique key of ${job}`;
    case "missing":
      return `no ${job}: wrong id, or its history is past retention`;
    default:
      return answer satisfies never;
  }
}

/** @throws JobError when the job cannot be discarded or restored. */
export function assertDone(what: "discard" | "restore", [answer]: readonly DiscardAnswer[]): void {
  if (answer === undefined || answer.kind === "done" || answer.kind === "unchanged") return;
  const { id } = answer;
  if (answer.kind === "missing")
    throw new JobError("JOB_NOT_FOUND", `${what}: no job ${id}`, { details: { jobId: id } });
  const code = answer.state === "succeeded" ? "JOB_HAS_SUCCEEDED" : "JOB_UNFINISHED";
  throw new JobError(code, `${what}: job ${id} is ${answer.state}`, { details: { jobId: id, state: answer.state } });
}
