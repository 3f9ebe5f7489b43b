import { runWithContext, type Tracing } from "@warren/observability";
import type { JobHandler } from "../handle.ts";
import type { Attempt } from "../job.ts";

/** Calls the handler in the job's context: its correlation id and trace, and a span of its own where traces are kept. */
export function callHandler(handler: JobHandler, attempt: Attempt, tracing: Tracing | undefined): Promise<unknown> {
  const { correlationId, trace } = attempt.claimed;
  return runWithContext({ correlationId, traceparent: trace }, async () => {
    if (tracing === undefined || !tracing.enabled) return handler.run(attempt);
    const attributes = {
      "messaging.system": "rabbitmq",
      "messaging.operation.type": "process",
      "messaging.destination.name": attempt.queue,
      "warren.job.name": attempt.name,
      "warren.job.id": attempt.id,
      "warren.job.attempt": attempt.attempt,
    };
    // linked to its creator, not its child: it may run days later, and several times
    return tracing.span(`process ${attempt.name}`, { kind: "consumer", links: [trace], attributes }, () =>
      handler.run(attempt),
    );
  });
}
