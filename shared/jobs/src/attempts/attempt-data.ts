import { WarrenError } from "@warren/contracts";
import { JobAbortedError, JobDataError } from "../errors.ts";
import type { JobHandler } from "../handle.ts";
import type { Attempt } from "../job.ts";
import { jsonText, misfit } from "../json.ts";
import { PayloadError } from "../payloads/errors.ts";
import { assertSize } from "../payloads/limits.ts";
import { openPayload, sealResult } from "../payloads/payload.ts";
import type { Payloads } from "../payloads/seal.ts";
import { hideError } from "../payloads/shield.ts";
import { UpcastError } from "../upcast.ts";
import type { Outcome, Verdict } from "./verdict.ts";

type Returned = Extract<Outcome, { readonly kind: "returned" }>;

/** What goes into a handler and comes out of it: versions, schemas, sealing. */
export interface AttemptData {
  /** Whether the payload must be opened before it can be parsed. */
  isSealed(attempt: Attempt): boolean;
  /** Gives the attempt its payload, or says why it cannot have one. */
  parse(handler: JobHandler, attempt: Attempt): Outcome | undefined;
  /** Opens a sealed payload, then `parse`s it. @throws NotStarted; the reason of the attempt's signal when it aborted meanwhile. */
  open(handler: JobHandler, attempt: Attempt): Promise<void>;
  /** Checks what the handler returned; with it, the result is as the ledger shall keep it. A promise only where it is sealed. */
  take(handler: JobHandler, attempt: Attempt, outcome: Returned): Outcome | Promise<Outcome>;
  /** The same for `job.complete`. @throws JobDataError, PayloadError. */
  completed(handler: JobHandler, attempt: Attempt, result: unknown): unknown;
  /** The verdict as it may be kept and logged: an encrypted job's error is hidden. */
  guard(handler: JobHandler | undefined, attempt: Attempt, outcome: Outcome, verdict: Verdict): Verdict;
}

/** The attempt ended before its handler was called. */
export class NotStarted extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super(`not started: ${outcome.kind}`);
    this.name = "NotStarted";
    this.outcome = outcome;
  }
}

export function createAttemptData(payloads: Payloads): AttemptData {
  function store({ definition }: JobHandler, attempt: Attempt, result: unknown): unknown {
    const { name, result: schema, maxResultBytes } = definition;
    const parsed = schema?.safeParse(result);
    if (parsed?.success === false) throw misfit(`result of ${name}`, parsed.error, "JOB_RESULT_INVALID");
    const text = jsonText(`the result of ${name}`, result, "JOB_RESULT_UNSERIALISABLE");
    assertSize(name, "result", text, maxResultBytes);
    return sealResult(attempt, { result, text }, definition, payloads);
  }

  return {
    isSealed: (attempt) => attempt.claimed.rare.payloadForm !== undefined,
    parse,
    async open(handler, attempt) {
      const { id, name, payload, rare } = attempt.claimed;
      try {
        attempt.reveal(await openPayload({ id, name, payload, ...rare }, payloads));
      } catch (error) {
        throw error instanceof PayloadError ? new NotStarted({ kind: "unopened", error }) : error;
      }
      // fetching takes time: a handler is not begun for a job that was taken away or timed out meanwhile
      if (attempt.aborted !== undefined) throw attempt.aborted;
      const unfit = parse(handler, attempt);
      if (unfit !== undefined) throw new NotStarted(unfit);
    },
    take(handler, attempt, outcome) {
      try {
        const stored = store(handler, attempt, outcome.result);
        if (!(stored instanceof Promise))
          return stored === outcome.result ? outcome : { kind: "returned", result: stored };
        return stored.then((result: unknown): Outcome => ({ kind: "returned", result }), refused);
      } catch (error) {
        return refused(error);
      }
    },
    completed: store,
    guard(handler, attempt, outcome, verdict) {
      const encrypted =
        handler?.definition.encrypt === true || attempt.claimed.rare.payloadForm?.startsWith("a256gcm") === true;
      if (!encrypted || !("error" in verdict) || verdict.error === undefined || quotesNothing(outcome)) return verdict;
      return { ...verdict, error: hideError(attempt, verdict.error, payloads) };
    },
  };
}

/** Brings the payload to the current version and through the schema. */
function parse(handler: JobHandler, attempt: Attempt): Outcome | undefined {
  const { definition } = handler;
  const { version, payload } = attempt.claimed;
  try {
    const current = version === definition.version ? payload : definition.upcast.apply(version, payload);
    const parsed = definition.payload.safeParse(current);
    if (!parsed.success) {
      const what = version === definition.version ? "payload" : `payload (upcast from version ${version})`;
      const { code, message } = misfit(`${what} of ${definition.name}`, parsed.error, "JOB_PAYLOAD_INVALID");
      return { kind: "unusable", code, message };
    }
    attempt.payload = parsed.data;
    return undefined;
  } catch (error) {
    if (error instanceof UpcastError) return { kind: "unusable", code: error.code, message: error.message };
    // the author's own refinement or transform threw
    return { kind: "threw", error };
  }
}

function refused(error: unknown): Outcome {
  if (error instanceof JobDataError) return { kind: "unusable", code: error.code, message: error.message };
  return { kind: "threw", error };
}

/** Errors of our own making, whose texts hold ids, names and numbers only. */
function quotesNothing(outcome: Outcome): boolean {
  if (outcome.kind === "threw") {
    const { error } = outcome;
    return error instanceof WarrenError && (error instanceof JobAbortedError || error instanceof PayloadError);
  }
  return outcome.kind !== "unusable";
}
