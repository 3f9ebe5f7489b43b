import { AsyncLocalStorage } from "node:async_hooks";

/**
 * What one piece of work carries from the HTTP request to the last job: it is mixed into every log line, and sent on in
 * message headers and ledger rows. Both fields are safe to show.
 */
export interface Context {
  /** One id from the HTTP request to the last job it caused. */
  readonly correlationId?: string | undefined;
  /** W3C `traceparent` of the current span, sampled or not. */
  readonly traceparent?: string | undefined;
}

const storage = new AsyncLocalStorage<Context>();

/** Runs `fn`, and all that it awaits, under `context`. The inner context replaces the outer one as a whole. */
export function runWithContext<T>(context: Context, fn: () => T): T {
  return storage.run(context, fn);
}

/** The context of the running work, or `undefined` outside of any. */
export function currentContext(): Context | undefined {
  return storage.getStore();
}
